#!/usr/bin/env python3
"""Measures Apus beside llama.cpp and OpenVINO GenAI in turns, and prints the table of DocC's page
Performance. tools/peers installs what it needs and starts it.

Each program loads its model once, warms up, and then waits; whose turn it is measures once. So what
disturbs the machine for a while disturbs all of them, and a ratio is the median of the ratios of rounds.
Where tokens are generated a program takes part that only reads as many bytes as a token does: what memory
allows. Caches can lift it, as they lift the others.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time

DEVICES = ["opencl:0", "cpu"]
TEXT = "The quick brown fox jumps over the lazy dog while the sun sets behind the old stone wall of town"


class Worker:
    """A program that measures when it gets a line."""

    def __init__(self, command, cores, environment=None):
        self.process = subprocess.Popen(
            pinned(command, cores), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {})})
        self.command = command
        self.read("ready")

    def read(self, wanted=None):
        for line in self.process.stdout:
            line = line.strip()
            if wanted is None and line.isdigit():
                return int(line)
            if line == wanted:
                return None
        raise RuntimeError(f"{' '.join(map(str, self.command))} ended, code {self.process.wait()}")

    def measure(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.read() * 1e-9

    def close(self):
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.wait()


def pinned(command, cores):
    return ["taskset", "-c", ",".join(str(c) for c in range(cores))] + [str(c) for c in command]


class Row:
    """A line of the issue's table. Goals are (must, aim) for PoCL and for the CPU."""

    def __init__(self, title, model, kind, count, depth=0, peer="llama.cpp", cores=(1, 2),
                 goals=None, quick=True, options=()):
        self.title, self.model, self.kind, self.count, self.depth = title, model, kind, count, depth
        self.peer, self.cores, self.goals, self.quick = peer, cores, goals, quick
        self.options = options  # of Apus alone

    def goal(self, device, cores):
        goals = self.goals[0 if device.startswith("opencl") else 1]
        return goals[cores] if isinstance(goals, dict) else goals


ROWS = [
    Row("prefill 512, SmolLM2 Q4_1", "smollm2", "pp", 512, peer="OpenVINO",
        goals=[(1.1, 1.4), (1.2, 1.5)]),
    Row("prefill 512, SmolLM2 Q4_1, Apus with --kv-type i16", "smollm2", "pp", 512, peer="OpenVINO",
        goals=[(1.1, 1.4), (1.2, 1.5)], options=("--kv-type", "i16")),
    Row("prefill 512, SmolLM2 Q4_1", "smollm2", "pp", 512, goals=[(6, 8), (6.5, 9)]),
    Row("prefill 512, SmolLM2 Q4_0", "smollm2-q4_0", "pp", 512, goals=[(1.7, 2.2), (1.8, 2.4)]),
    Row("decode, SmolLM2 Q4_1", "smollm2", "tg", 64,
        goals=[{1: (1.7, 2.3), 2: (1.4, 1.9)}, {1: (1.9, 2.4), 2: (1.5, 2.0)}]),
    Row("decode, SmolLM2 Q4_0", "smollm2-q4_0", "tg", 64, cores=(1,),
        goals=[(1.2, 1.5), (1.25, 1.6)]),
    Row("decode at depth 7000, SmolLM2 Q4_1", "smollm2", "tg", 24, depth=7000, cores=(1,),
        goals=[(3.5, 4.5), (3.5, 5)], quick=False),
    Row("decode at depth 7000, of which Apus reads 1024 tokens (quest)", "smollm2", "tg", 24,
        depth=7000, cores=(1,), goals=[(5, 8), (5, 8)], quick=False,
        options=("--kv-policy", "quest", "--kv-budget", 1024)),
    Row("prefill 512, Qwen2.5-Coder-0.5B", "qwen05", "pp", 512, goals=[(3, 4.5), (3, 4.5)],
        quick=False),
    Row("decode, Qwen2.5-Coder-0.5B", "qwen05", "tg", 32, goals=[(1.5, 1.9), (1.5, 1.9)],
        quick=False),
    Row("prefill 128, Qwen2.5-Coder-1.5B Q4_K_M", "qwen15", "pp", 128, goals=[(1.5, 2), (1.5, 2)],
        quick=False),
    Row("decode, Qwen2.5-Coder-1.5B Q4_K_M", "qwen15", "tg", 16, goals=[(1.0, 1.1), (1.0, 1.1)],
        quick=False),
]


class Lab:
    def __init__(self, arguments):
        self.arguments = arguments
        self.models = {
            "smollm2": arguments.models / "smollm2-135m-instruct-q4_1.gguf",
            "smollm2-q4_0": arguments.models / "requantised" / "smollm2-q4_0.gguf",
            "qwen05": arguments.models / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            "qwen15": arguments.models / "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        }

    def apus(self, row, cores, device):
        option = "-p" if row.kind == "pp" else "-n"
        other = "-n" if row.kind == "pp" else "-p"
        return Worker(
            [self.arguments.apus, "bench", self.models[row.model], option, row.count, other, 0,
             "-d", row.depth, "-t", cores, "--device", device, "-r", 10000, "--paced",
             *row.options], cores)

    def llama(self, row, cores):
        """llama.cpp with flash attention or without it, whichever is faster here."""
        def start(flash):
            return Worker([self.arguments.llama, self.models[row.model], cores, 512, flash,
                           row.kind, row.count, row.depth], cores)

        if self.arguments.flash != "auto":
            flash = int(self.arguments.flash == "on")
            return start(flash), f"flash attention {self.arguments.flash}"
        workers = [start(1), start(0)]
        times = [min(worker.measure() for _ in range(2)) for worker in workers]
        best = times.index(min(times))
        workers[1 - best].close()
        return workers[best], f"flash attention {['on', 'off'][best]}"

    def openvino(self, row, cores):
        return Worker(
            [sys.executable, __file__, "--openvino-worker", self.models[row.model], cores,
             row.count], cores), "LATENCY"

    def memory(self, row, cores):
        """Reads what a token reads: the weights, and keys and values of the tokens before it."""
        model = self.models[row.model]
        plan = self.json("plan", model, "--json")
        # Of a table of which a token reads one row, only that row counts.
        bench = self.json("bench", model, "-p", 0, "-n", 1, "-r", 1, "--no-probe", "--device", "cpu", "-o", "json")
        size = bench[0]["bytes_read_per_token"] + row.depth * plan["cache_bytes_per_token"]
        return Worker([self.arguments.memory, size, row.count, cores], cores)

    def measure(self, row, cores):
        """Medians in tokens a second by program, and by device the median ratio of its rounds."""
        peer, setting = (self.openvino if row.peer == "OpenVINO" else self.llama)(row, cores)
        workers = {row.peer: peer}
        for device in self.arguments.device:
            workers[device] = self.apus(row, cores, device)
        if row.kind == "tg" and not row.options:
            workers["memory"] = self.memory(row, cores)
        seconds = {name: [] for name in workers}
        for _ in range(self.arguments.rounds):
            for name, worker in workers.items():
                seconds[name].append(worker.measure())
        for worker in workers.values():
            worker.close()
        speeds = {name: row.count / statistics.median(s) for name, s in seconds.items()}
        ratios = {device: statistics.median(p / a for p, a in zip(seconds[row.peer],
                                                                  seconds[device]))
                  for device in workers if device != row.peer}
        return speeds, ratios, setting

    def first_token(self):
        """Seconds from the start of the process to the first byte of its answer, in turns."""
        model = self.models["smollm2"]
        tokens = json.loads(subprocess.run(
            [self.arguments.apus, "tokenize", model, "-p", TEXT, "--json"], check=True,
            stdout=subprocess.PIPE).stdout)
        cores = min(2, os.cpu_count())
        commands = {"llama.cpp": [self.arguments.llama, model, cores, 512, 1, "first", len(tokens)]}
        for device in self.arguments.device:
            commands[device] = [self.arguments.apus, "run", model, "--raw", "-p", TEXT, "-n", 1,
                                "--temp", 0, "-t", cores, "--device", device]
        seconds = {name: [] for name in commands}
        for round in range(self.arguments.rounds + 1):
            for name, command in commands.items():
                start = time.monotonic()
                process = subprocess.Popen(
                    pinned(command, cores), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                seen = process.stdout.read(1)
                end = time.monotonic()
                process.stdout.read()
                if process.wait() != 0 or not seen:
                    raise RuntimeError(f"{command} failed")
                if round > 0:  # The first fills caches.
                    seconds[name].append(end - start)
        ratios = {device: statistics.median(a / p for p, a in zip(seconds["llama.cpp"],
                                                                  seconds[device]))
                  for device in self.arguments.device}
        return len(tokens), {n: statistics.median(s) for n, s in seconds.items()}, ratios

    def decode_share(self):
        """The share of the probed read bandwidth that decoding reaches on one core, by device."""
        shares = {}
        for device in self.arguments.device:
            report = self.json("bench", self.models["smollm2"], "-p", 0, "-n", 64, "-t", 1, "-r",
                               self.arguments.rounds, "--device", device, "-o", "json", cores=1)[0]
            shares[device] = (report["read_gb_per_s"], report.get("probe_gb_per_s"),
                              report.get("probe_share"))
        return shares

    def allocated(self):
        """What was allocated beyond the mapped file and the cache, as a share of the weights."""
        shares = {}
        for device in self.arguments.device:
            plan = self.json("plan", self.models["smollm2"], "--device", device, "--check", "--json")
            cache = sum(d["cache"] for d in plan["choices"][0]["devices"])
            shares[device] = (plan["checks"][0]["allocated"] - cache) / plan["weight_bytes"]
        return shares

    def json(self, *command, cores=None):
        command = [self.arguments.apus, *command]
        command = pinned(command, cores) if cores else [str(word) for word in command]
        result = subprocess.run(command, stdout=subprocess.PIPE)
        return json.loads(result.stdout)


def verdict(value, goal, at_most=False):
    must, aim = goal
    if at_most:
        return "must" if value <= must else "**above**"
    return "aim" if value >= aim else "must" if value >= must else "**below**"


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def openvino_worker(model, threads, count):
    """Prefill by OpenVINO GenAI: what is counted is its own time to the first token of a prompt."""
    import random

    import numpy
    import openvino
    import openvino_genai

    random.seed(1)
    pipeline = openvino_genai.LLMPipeline(
        model, "CPU", PERFORMANCE_HINT="LATENCY", INFERENCE_NUM_THREADS=int(threads))
    config = openvino_genai.GenerationConfig()
    config.max_new_tokens = 1
    config.do_sample = False
    config.ignore_eos = True

    def run():
        # Other tokens each time, so that no cache of prefixes can serve them.
        ids = numpy.array([[random.randrange(1000, 40000) for _ in range(int(count))]], numpy.int64)
        inputs = openvino_genai.TokenizedInputs(
            openvino.Tensor(ids), openvino.Tensor(numpy.ones_like(ids)))
        return pipeline.generate(inputs, config).perf_metrics.get_ttft().mean * 1e6

    run()
    run()
    print("ready", flush=True)
    for _ in sys.stdin:
        print(round(run()), flush=True)


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    names = re.findall(r"model name\s*: (.*)", text)
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} CPUs"


def versions(arguments):
    from importlib.metadata import version

    listing = json.loads(subprocess.run([arguments.apus, "devices", "--json"], check=True,
                                        stdout=subprocess.PIPE).stdout)
    drivers = [f"{d['device']}: {d['driver']}" for d in listing if d["device"] in arguments.device]
    return (f"Apus {arguments.commit} ({'; '.join(drivers)}), llama-cpp-python {version('llama-cpp-python')} "
            f"(built with GGML_NATIVE=ON, no BLAS), OpenVINO GenAI {version('openvino-genai')}")


class Table:
    """Prints lines as they come."""

    def __init__(self, devices):
        self.devices = devices
        heads = ["", "cores", "peer"]
        for device in devices:
            heads += [device, "×", "must / aim", "verdict"]
        heads += ["reading alone", "×"]
        self.columns = len(heads)
        self.line(heads)
        self.line(["---"] * len(heads))

    def line(self, cells):
        cells = cells + [""] * (self.columns - len(cells))
        print("| " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tools/peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the rows that take seconds")
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each program")
    parser.add_argument("--rows", default="", help="only rows whose title contains this")
    parser.add_argument("--cores", default="1,2", help="numbers of cores")
    parser.add_argument("--device", default="opencl:0,cpu", help="devices of Apus")
    parser.add_argument("--flash", choices=["auto", "on", "off"], default="auto",
                        help="flash attention of llama.cpp; auto tries both")
    parser.add_argument("--apus", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--llama", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--memory", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--models", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--commit", required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.device = arguments.device.split(",")
    wanted = [int(c) for c in arguments.cores.split(",")]
    lab = Lab(arguments)
    command = shlex.join(["tools/peers", *sys.argv[11:]])  # Behind what tools/peers puts in front.
    print(f"Measured on {datetime.date.today()}: {machine()}; {versions(arguments)}. Medians of "
          f"{arguments.rounds} rounds in turns, tokens per second. `{command}`\n", flush=True)
    table = Table(arguments.device)
    chosen = re.compile(re.escape(arguments.rows), re.IGNORECASE)
    remarks = {}
    for row in ROWS:
        if not chosen.search(f"{row.title} × {row.peer}") or (arguments.quick and not row.quick):
            continue
        for cores in row.cores:
            if cores not in wanted:
                continue
            speeds, ratios, setting = lab.measure(row, cores)
            remarks.setdefault(f"{row.peer} with {setting}", []).append(f"{row.title}, {cores}")
            cells = [f"{row.title}, × {row.peer}", str(cores), number(speeds[row.peer])]
            for device in arguments.device:
                goal = row.goal(device, cores)
                cells += [number(speeds[device]), f"{ratios[device]:.2f}", f"{goal[0]} / {goal[1]}",
                          verdict(ratios[device], goal)]
            if "memory" in ratios:
                cells += [number(speeds["memory"]), f"{ratios['memory']:.2f}"]
            table.line(cells)
    if chosen.search("decode, share of the probed read bandwidth") and 1 in wanted:
        cells = ["decode, share of the probed read bandwidth", "1", ""]
        for device, (rate, probe, share) in lab.decode_share().items():
            cells += [f"{rate:.1f} GB/s of {probe:.1f}", f"{share:.2f}", "0.75 / 0.9",
                      verdict(share, (0.75, 0.9))]
        table.line(cells)
    if chosen.search("process start to first token"):
        tokens, seconds, ratios = lab.first_token()
        cells = [f"process start to first token, prompt of {tokens}, × llama.cpp", "2",
                 f"{seconds['llama.cpp']:.3f} s"]
        for device in arguments.device:
            cells += [f"{seconds[device]:.3f} s", f"{ratios[device]:.2f}", "≤ 1",
                      verdict(ratios[device], (1, 1), at_most=True)]
        table.line(cells)
    if chosen.search("memory beyond file and cache"):
        cells = ["memory beyond file and cache, × weights", "", ""]
        for device, share in lab.allocated().items():
            cells += ["", f"{share:.2f}", "≤ 1.2", verdict(share, (1.2, 1.2), at_most=True)]
        table.line(cells)
    for setting, rows in remarks.items():
        print(f"\n{setting}: {'; '.join(rows)}.")


if sys.argv[1:2] == ["--openvino-worker"]:
    openvino_worker(*sys.argv[2:])
else:
    main()

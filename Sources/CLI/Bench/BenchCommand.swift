package import Apus
package import ArgumentParser

/// `apus bench`: how fast a model runs, in the rows that llama-bench prints.
package struct BenchCommand: AsyncParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measure how fast a model runs.",
    discussion: """
      Tests are named as llama-bench names them: pp512 computes a prompt of 512 tokens, tg128 \
      generates 128 tokens one by one, and '@ d2048' does so behind 2048 tokens in the cache, which \
      are not counted. Nothing is sampled, but logits are read back. A run that is not counted goes \
      first; the figure is the mean over the repetitions and their standard deviation.

      Generating reads all weights for each token. So beside it the device's own speed of reading is \
      measured (--no-probe leaves it out): 'GB/s read' are the weights, and keys and values at a \
      depth, that were read, and 'of probe' is the share of what the device reads in order.

      Options with lists take several values with commas between, and every combination is measured.

      Examples:
        apus bench -p 512 -n 128 -d 0,2048 --device cpu,opencl:0
        apus bench model.gguf -t 1,2 -o json > bench.json
        apus bench --random llama-1b-q4_0 --device opencl:0
        apus bench --ops --filter attention --device cpu
      """)

  @Argument(help: "A GGUF file (default: SmolLM2-135M-Instruct from the cache).")
  var model: String?

  @Option(
    name: [.customShort("m"), .customLong("model")],
    help: "The same, for those who are used to it.")
  var modelOption: String?

  @Option(
    help: ArgumentHelp(
      "A model of random weights, such as llama-7b-q4_0, in place of a file; 'list' prints shapes.",
      discussion: """
        A shape and an element type, which all matrices get. Weights are made in memory, tensor by \
        tensor. What comes out is no language, but takes the time that a real model takes.
        """, valueName: "shape-type"))
  var random: String?

  @Option(
    name: [.customShort("p"), .customLong("n-prompt")],
    help: "Tokens of a prompt; 0 leaves the test out.")
  var prompts: List<Int> = [512]

  @Option(
    name: [.customShort("n"), .customLong("n-gen")],
    help: "Tokens to generate; 0 leaves the test out.")
  var generated: List<Int> = [128]

  @Option(
    name: [.customShort("d"), .customLong("n-depth")],
    help: "Tokens in the cache before a test begins.")
  var depths: List<Int> = [0]

  @Option(
    name: [.customShort("t"), .customLong("threads")],
    help: "CPU threads, or compute units of an OpenCL CPU device (default: all).")
  var threads: List<Int>?

  @Option(
    name: [.customShort("b"), .customLong("batch-size")],
    help: "Tokens of a prompt that are computed at once.")
  var batches: List<Int> = [LoadOptions().batch]

  @Option(help: "Where to run: auto, cpu, reference, opencl:N (see 'apus devices').")
  package var device: List<DeviceChoice> = [.auto]

  @Option(name: [.short, .customLong("repetitions")], help: "How often each test is measured.")
  var repetitions = 5

  @Option(name: [.short, .long], help: "The form of the result: md, json or csv.")
  var output: BenchFormat = .md

  @Option(help: "Arithmetic of quantised layers: int8 or f32.")
  var activations: Activations = .int8

  @Option(help: "Where weights lie: mmap or copy.")
  var load: LoadMode = .mmap

  @OptionGroup var steps: StepArguments

  @OptionGroup(title: "Long contexts") var policy: PolicyArguments

  @Flag(
    inversion: .prefixedNo,
    help: "Measure beside generation how fast the device reads memory, and print the share of it.")
  var probe = true

  @Flag(help: "Take every kernel as it is built in (see 'apus tune').")
  var noTuning = false

  @Flag(help: "Time single operations at the sizes of known models instead of a model.")
  var ops = false

  @Option(help: "With --ops: only operations whose name, type or shape contains this.")
  var filter: String?

  @Flag(help: "Measure at once, without a run that is not counted.")
  var noWarmup = false

  @Flag(
    help: ArgumentHelp(
      "Before each repetition wait for a line of input, and print its nanoseconds after it.",
      discussion: "For tools/peers, which lets several programs measure in turn.",
      visibility: .hidden))
  var paced = false

  package init() {}

  /// The command that these words give, or an error where they are wrong usage.
  package static func reading(_ words: [String]) throws -> BenchCommand { try parse(words) }

  package func validate() throws {
    func check(_ list: List<Int>, _ name: String, atLeast least: Int) throws {
      guard let value = list.values.first(where: { $0 < least || $0 > 1 << 24 }) else { return }
      throw ValidationError("\(name) takes numbers from \(least) to \(1 << 24), not \(value)")
    }
    try check(prompts, "-p", atLeast: 0)
    try check(generated, "-n", atLeast: 0)
    try check(depths, "-d", atLeast: 0)
    try check(batches, "-b", atLeast: 1)
    if let threads { try check(threads, "-t", atLeast: 1) }
    if paced && (tests.count != 1 || settings.count != 1) {
      throw ValidationError("--paced goes with one test on one device")
    }
    if filter != nil && !ops { throw ValidationError("--filter goes with --ops") }
    if ops && (random ?? model ?? modelOption) != nil {
      throw ValidationError("--ops times operations without a model; leave the model out")
    }
    if tests.isEmpty { throw ValidationError("nothing to measure: -p and -n are both 0") }
    if !(1...10_000).contains(repetitions) {
      throw ValidationError("-r takes numbers from 1 to 10000")
    }
    if model != nil && modelOption != nil {
      throw ValidationError("name the model once: by itself or with -m")
    }
    if let random {
      if (model ?? modelOption) != nil {
        throw ValidationError("--random takes the place of a file; name one of the two")
      }
      do throws(ApusError) {
        if random != "list" { _ = try RandomModelShape(random) }
      } catch { throw ValidationError(error.description) }
    }
  }

  /// Every combination of depth and length.
  package var tests: [BenchmarkTest] {
    depths.values.flatMap { depth in
      prompts.values.filter { $0 > 0 }.map { BenchmarkTest(prompt: $0, depth: depth) }
        + generated.values.filter { $0 > 0 }.map { BenchmarkTest(generated: $0, depth: depth) }
    }
  }

  /// One way of loading the model.
  private struct Setting {
    var device: DeviceChoice
    var threads: Int?
    var batch: Int
  }

  private var settings: [Setting] {
    device.values.flatMap { device in
      (threads?.values.map { $0 } ?? [nil]).flatMap { threads in
        batches.values.map { Setting(device: device, threads: threads, batch: $0) }
      }
    }
  }

  package func run() async throws {
    Interrupt.install()
    if random == "list" { return listShapes() }
    if ops {
      return try await OperationBench(
        devices: device.values, threads: threads?.values ?? [], filter: filter ?? "",
        usesTuning: !noTuning, format: output
      ).run()
    }
    let subject: Subject =
      if let random {
        .random(try RandomModelShape(random))
      } else {
        .file(try Input.model(modelOption ?? model))
      }
    var report = BenchReport(
      output, showsBatch: batches.values.count > 1,
      showsPolicy: policy.kvPolicy != .full)
    var failure: ApusError?
    do throws(ApusError) {
      for setting in settings where !Interrupt.isRaised {
        try await measure(setting, subject, &report)
      }
    } catch { failure = error }
    Terminal.progress("")
    // What was measured before something went wrong is not lost.
    if !paced { try report.finish() }
    if let failure { throw failure }
    if Interrupt.isRaised { throw ExitCode.failure }
  }

  /// What is measured.
  private enum Subject: CustomStringConvertible {
    case file(String)
    case random(RandomModelShape)

    var description: String {
      switch self {
      case .file(let path): path
      case .random(let shape): "\(shape)"
      }
    }

    func load(_ options: LoadOptions) async throws(ApusError) -> Benchmark {
      switch self {
      case .file(let path): try await Benchmark.load(path, options: options)
      case .random(let shape): try await Benchmark.random(shape, options: options)
      }
    }
  }

  /// Says that it is ready, or how long the last repetition took, and waits for a line.
  private static func takeTurn(_ last: Duration?) -> Bool {
    Terminal.write(last.map { "\(Int($0 / .nanoseconds(1)))\n" } ?? "ready\n")
    return readLine() != nil
  }

  private func listShapes() {
    let rows = RandomModelShape.shapes.map { shape in
      let sizes = ["f16", "q8_0", "q4_0"].map { RandomModelShape.size(of: shape, type: $0) }
      return [shape, sizeName(sizes[0]?.parameters ?? 0)]
        + sizes.map { $0.map { "\(ByteCount($0.bytes))" } ?? "" }
    }
    Terminal.write(table(["shape", "params", "f16", "q8_0", "q4_0"], rows))
    Terminal.write("\ntypes: \(RandomModelShape.types.joined(separator: ", "))\n")
  }

  private func measure(
    _ setting: Setting, _ subject: Subject, _ report: inout BenchReport
  ) async throws(ApusError) {
    var options = LoadOptions()
    options.device = setting.device
    // A figure that belongs to another device than the one that was asked for is worth nothing.
    options.allowsFallback = setting.device == .auto
    options.threads = setting.threads
    options.batch = setting.batch
    options.activations = activations
    options.mode = load
    policy.set(&options)
    options.usesTuning = !noTuning
    options.persistentKernel = steps.persistent
    options.contextLength = tests.map { $0.depth + $0.tokens }.max()
    Terminal.progress("loading \(subject) …")
    let benchmark = try await subject.load(options)
    Terminal.progress("")
    for notice in benchmark.notices { Terminal.note("apus: \(notice)") }
    let result: Result<Void, ApusError>
    do throws(ApusError) {
      for test in tests where !Interrupt.isRaised {
        Terminal.progress("\(benchmark.device.name): \(test) …")
        let isPaced = paced
        let times = try await benchmark.time(
          test, repetitions: repetitions, warmsUp: !noWarmup, until: { Interrupt.isRaised },
          pace: { isPaced ? Self.takeTurn($0) : true })
        Terminal.progress("")
        if paced { continue }
        guard !times.durations.isEmpty else { break }
        let reads = probe && test.prompt == 0
        let bandwidth = reads ? try await benchmark.measureBandwidth() : nil
        report.add(
          BenchRow(
            benchmark, times, subject: "\(subject)", threads: setting.threads,
            activations: activations,
            bandwidth: bandwidth))
      }
      result = .success(())
    } catch { result = .failure(error) }
    await benchmark.close()
    try result.get()
  }
}

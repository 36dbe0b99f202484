import Apus
import CLI
import Testing

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// `apus bench` apart from what it measures: options and forms of output.
@Suite struct BenchTests {
  private func command(_ words: String...) throws -> BenchCommand {
    try BenchCommand.reading(words)
  }

  @Test func listsCombine() throws {
    let bench = try command("-p", "512,128", "-n", "64", "-d", "0,2048")
    #expect(
      bench.tests.map(\.description) == [
        "pp512", "pp128", "tg64", "pp512 @ d2048", "pp128 @ d2048", "tg64 @ d2048",
      ])
    #expect(try command("-p", "0", "-n", "16").tests.map(\.description) == ["tg16"])
    #expect(try command("-n", "0").tests.map(\.description) == ["pp512"])
    let devices = try command("--device", "cpu,opencl:1", "-t", "1,2").device.values
    #expect(devices == [.cpu, .opencl(1)])
  }

  @Test(arguments: [
    ["-p", "0", "-n", "0"], ["-p", "1,,2"], ["-p", "x"], ["-p", ""], ["-n", "99999999999"],
    ["-t", "0"], ["-b", "0"], ["-r", "0"], ["-o", "xml"], ["--device", "cpu,gpu"],
    ["a.gguf", "-m", "b.gguf"], ["a.gguf", "--random", "tiny-q4_0"], ["--paced", "-d", "0,1"],
    ["--filter", "Q4_0"], ["--ops", "a.gguf"], ["--random", "nobody-q4_0"],
  ])
  func whatMakesNoSenseIsRefused(words: [String]) {
    #expect(throws: (any Error).self) { try BenchCommand.reading(words) }
  }

  private func rows() async throws -> [BenchRow] {
    var options = LoadOptions()
    options.device = .cpu
    options.threads = 1
    options.contextLength = 64
    let benchmark = try await Benchmark.random(RandomModelShape("tiny-q4_1"), options: options)
    var rows: [BenchRow] = []
    for test in [BenchmarkTest(prompt: 20), BenchmarkTest(generated: 5, depth: 30)] {
      let result = try await benchmark.time(test, repetitions: 3)
      #expect(result.durations.count == 3 && result.durations.allSatisfy { $0 > .zero })
      rows.append(
        BenchRow(
          benchmark, result, subject: "a \"b\", c", threads: 1, activations: .int8,
          bandwidth: result.test.prompt == 0 ? 40e9 : nil))
    }
    await benchmark.close()
    return rows
  }

  /// What llama-bench's users read from its JSON.
  private struct Object: Decodable {
    var model_filename: String
    var model_type: String
    var model_size: Int
    var model_n_params: Int
    var backends: String
    var n_prompt: Int
    var n_gen: Int
    var n_depth: Int
    var n_threads: Int
    var n_batch: Int
    var type_k: String
    var test_time: String
    var avg_ns: Int
    var stddev_ns: Int
    var avg_ts: Double
    var stddev_ts: Double
    var samples_ns: [Double]
    var samples_ts: [Double]
    var cpu_info: String
    var driver: String
    var instruction_set: String
    var bytes_read_per_token: Int?
    var read_gb_per_s: Double?
    var probe_gb_per_s: Double?
    var probe_share: Double?
  }

  @Test func theJSONSaysWhatWasMeasured() async throws {
    let rows = try await rows()
    let data = try JSONEncoder().encode(rows.map(BenchReport.object))
    let objects = try JSONDecoder().decode([Object].self, from: data)
    try #require(objects.count == 2)
    let (prompt, answer) = (objects[0], objects[1])
    #expect(prompt.n_prompt == 20 && prompt.n_gen == 0 && prompt.n_depth == 0)
    #expect(answer.n_prompt == 0 && answer.n_gen == 5 && answer.n_depth == 30)
    #expect(prompt.model_type == "llama 90K Q4_1" && prompt.model_n_params == 90_432)
    #expect(prompt.n_threads == 1 && prompt.backends == "CPU" && prompt.type_k == "f16")
    for object in objects {
      let mean = object.samples_ns.reduce(0, +) / 3
      #expect(abs(Double(object.avg_ns) - mean) <= 1)
      for (time, speed) in zip(object.samples_ns, object.samples_ts) {
        #expect(abs(speed - Double(object.n_prompt + object.n_gen) / time * 1e9) < 1e-6 * speed)
      }
      #expect(object.samples_ts.count == 3 && object.stddev_ts >= 0 && object.stddev_ns >= 0)
      #expect(object.test_time.hasSuffix("Z") && object.test_time.count == 20)
      #expect(!object.cpu_info.isEmpty && !object.instruction_set.isEmpty)
      #expect(object.driver.contains("Apus C kernels"))
    }
    // All matrices, one row of the embedding, and 32 tokens of 2 layers of 2 heads of 16 in halves.
    #expect(prompt.bytes_read_per_token == nil && prompt.probe_share == nil)
    let cache = 32 * 2 * 2 * 2 * 16 * 2
    #expect(answer.bytes_read_per_token == answer.model_size + 40 + cache)
    let rate = Double(answer.model_size + 40 + cache) * answer.avg_ts * 1e-9
    #expect(abs((answer.read_gb_per_s ?? 0) - rate) < 1e-9 && answer.probe_gb_per_s == 40)
    #expect(abs((answer.probe_share ?? 0) - rate / 40) < 1e-9)
  }

  @Test func aTableHasARowForEachTest() async throws {
    let rows = try await rows()
    let report = BenchReport(.md)
    let lines = (report.header + rows.map(report.line).joined()).split(separator: "\n")
    #expect(lines.count == 4 && lines.allSatisfy { $0.hasPrefix("| ") && $0.hasSuffix(" |") })
    let cells = lines.map { line in
      line.split(separator: "|").map { trimmed($0) }
    }
    #expect(cells.allSatisfy { $0.count == 9 })
    #expect(cells[0].prefix(7) == ["model", "size", "params", "backend", "threads", "test", "t/s"])
    #expect(cells[2][5] == "pp20" && cells[3][5] == "tg5 @ d30" && cells[2][3] == "cpu")
    #expect(cells[2][6].split(separator: " ").count == 3 && cells[2][6].contains(" ± "))
  }

  @Test func aLineOfCSVHasAFieldForEachName() async throws {
    let rows = try await rows()
    let names = BenchReport.csvHeader(rows[0]).dropLast().split(separator: ",")
    let line = BenchReport.csvLine(rows[0])
    #expect(line.contains("\"a \"\"b\"\", c\""))
    // Fields are quoted: what lies between them is a comma with quotes around it.
    let fields = String(line.dropFirst().dropLast(2)).split(
      separator: "\",\"", omittingEmptySubsequences: false)
    #expect(fields.count == names.count)
    let depth = try #require(names.firstIndex(of: "n_prompt"))
    #expect(fields[depth] == "20" && !names.contains("samples_ns"))
  }

  @Test func numbersHaveTheirDigits() {
    #expect(decimals(3.14159, 2) == "3.14" && decimals(0.05, 1) == "0.1")
    #expect(decimals(-1.005, 1) == "-1.0" && decimals(1234.5, 0) == "1235")
    #expect(sizeName(134_515_008) == "135M" && sizeName(6_738_415_616) == "6.7B")
    let statistic = Statistic([1, 2, 3, 4])
    #expect(statistic.mean == 2.5 && abs(statistic.deviation - 1.2909944487) < 1e-9)
    #expect(Statistic([7]).deviation == 0)
  }
}

private func trimmed(_ text: Substring) -> Substring {
  let front = text.drop { $0 == " " }
  return front.dropLast(front.reversed().prefix { $0 == " " }.count)
}

package import Apus
import ArgumentParser

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A measured test, with all that a reader needs to place it.
package struct BenchRow: Sendable {
  var result: BenchmarkResult
  /// The file, or the name of a random model.
  var subject: String
  /// Architecture, size and element type, as llama-bench writes them.
  var modelType: String
  var modelBytes: Int
  var parameters: Int
  var device: DeviceDescription
  var processor: HostProcessor
  var threads: Int
  var batch: Int
  var cacheType: String
  var isRotated: Bool
  var activations: Activations
  var policy: KVPolicy
  /// Tokens of the cache that a new token reads at most; nil for all.
  var budget: Int?
  var time: Date
  /// Bytes that a token reads in the middle of the test, where tokens come one by one.
  var bytesRead: Int?
  /// Bytes a second that the device read from memory right behind the test.
  var bandwidth: Double?

  package init(
    _ benchmark: Benchmark, _ result: BenchmarkResult, subject: String, threads: Int?,
    activations: Activations, bandwidth: Double? = nil
  ) {
    self.result = result
    self.subject = subject
    modelType =
      "\(benchmark.architecture) \(sizeName(benchmark.parameterCount)) \(benchmark.elementType)"
    modelBytes = benchmark.weightBytes
    parameters = benchmark.parameterCount
    device = benchmark.device
    processor = .current
    self.threads = threads ?? processor.usableCPUs
    batch = benchmark.batch
    (cacheType, isRotated) = (benchmark.kvType.rawValue, benchmark.kvRotated)
    self.activations = activations
    (policy, budget) = (benchmark.kvPolicy, benchmark.kvBudget)
    time = Date()
    self.bandwidth = bandwidth
    if result.test.prompt == 0 {
      bytesRead = benchmark.bytesRead(byTokenAt: result.test.depth + result.test.generated / 2)
    }
  }

  /// The family of drivers, as llama-bench names its backends.
  var backend: String { device.name.hasPrefix("opencl") ? "OpenCL" : "CPU" }

  /// Gigabytes that decoding read in a second.
  var readRate: Double? {
    bytesRead.map { Double($0) * Statistic(result.tokensPerSecond).mean * 1e-9 }
  }

  /// The share of what it could read at best.
  var readShare: Double? {
    guard let readRate, let bandwidth, bandwidth > 0 else { return nil }
    return readRate * 1e9 / bandwidth
  }

  /// Names and values in the order of llama-bench, and behind them what only Apus says.
  var fields: [(name: String, value: BenchValue)] {
    let speed = Statistic(result.tokensPerSecond)
    let duration = Statistic(result.nanoseconds)
    return [
      ("build_commit", .text("apus \(ApusCommand.configuration.version)")),
      ("build_number", .integer(0)),
      ("cpu_info", .text(processor.name)),
      ("gpu_info", .text(backend == "OpenCL" ? device.hardware : "")),
      ("backends", .text(backend)), ("model_filename", .text(subject)),
      ("model_type", .text(modelType)), ("model_size", .integer(modelBytes)),
      ("model_n_params", .integer(parameters)), ("n_batch", .integer(batch)),
      ("n_ubatch", .integer(batch)), ("n_threads", .integer(threads)),
      ("type_k", .text(cacheType)), ("type_v", .text(cacheType)),
      ("n_prompt", .integer(result.test.prompt)), ("n_gen", .integer(result.test.generated)),
      ("n_depth", .integer(result.test.depth)), ("test_time", .text(time.ISO8601Format())),
      ("avg_ns", .integer(Int(duration.mean.rounded()))),
      ("stddev_ns", .integer(Int(duration.deviation.rounded()))),
      ("avg_ts", .real(speed.mean)), ("stddev_ts", .real(speed.deviation)),
      ("samples_ns", .reals(result.nanoseconds)), ("samples_ts", .reals(result.tokensPerSecond)),
      ("test", .text("\(result.test)")), ("device", .text(device.name)),
      ("device_name", .text(device.hardware)), ("driver", .text(device.driver)),
      ("instruction_set", .text(processor.instructionSet)),
      ("activations", .text(activations.rawValue)), ("kv_policy", .text(policy.rawValue)),
      ("kv_rotate", .integer(isRotated ? 1 : 0)),
      ("kv_budget", budget.map { .integer($0) } ?? .none),
      ("bytes_read_per_token", bytesRead.map { .integer($0) } ?? .none),
      ("read_gb_per_s", readRate.map { .real($0) } ?? .none),
      ("probe_gb_per_s", bandwidth.map { .real($0 * 1e-9) } ?? .none),
      ("probe_share", readShare.map { .real($0) } ?? .none),
    ]
  }
}

/// 134515008 is `135M`, 6738415616 is `6.7B`.
package func sizeName(_ count: Int) -> String {
  let number = Double(count)
  if number >= 10e9 { return "\(decimals(number / 1e9, 0))B" }
  if number >= 1e9 { return "\(decimals(number / 1e9, 1))B" }
  if number >= 1e6 { return "\(decimals(number / 1e6, 0))M" }
  return "\(decimals(number / 1e3, 0))K"
}

/// A number with so many digits behind the point.
package func decimals(_ value: Double, _ digits: Int) -> String {
  let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
  let scaled = (value * scale).rounded()
  guard scaled.isFinite, abs(scaled) < 1e15 else { return "\(value)" }
  let whole = Int(abs(scaled))
  let sign = scaled < 0 ? "-" : ""
  guard digits > 0 else { return "\(sign)\(whole)" }
  let rest = String(whole % Int(scale))
  let zeros = String(repeating: "0", count: digits - rest.count)
  return "\(sign)\(whole / Int(scale)).\(zeros)\(rest)"
}

/// Mean and standard deviation of a sample.
package struct Statistic {
  package var mean: Double
  /// With n − 1, and 0 of a single value.
  package var deviation: Double

  package init(_ values: [Double]) {
    let count = Double(values.count)
    let mean = values.reduce(0, +) / max(1, count)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    self.mean = mean
    deviation = values.count > 1 ? (squares / (count - 1)).squareRoot() : 0
  }
}

/// A value of a row.
package enum BenchValue: Sendable, Encodable {
  case text(String)
  case integer(Int)
  case real(Double)
  case reals([Double])
  case none

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .text(let text): try container.encode(text)
    case .integer(let number): try container.encode(number)
    case .real(let number): try container.encode(number)
    case .reals(let numbers): try container.encode(numbers)
    case .none: try container.encodeNil()
    }
  }

  /// The value in a line of CSV, or nil where it is a list, which such a line does not hold.
  var field: String? {
    switch self {
    case .text(let text): "\"\(text.replacing("\"", with: "\"\""))\""
    case .integer(let number): "\"\(number)\""
    case .real(let number): "\"\(decimals(number, 6))\""
    case .none: "\"\""
    case .reals: nil
    }
  }
}

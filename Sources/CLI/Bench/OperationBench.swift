import Apus

/// `apus bench --ops`: single operations beside what the device reaches at best.
struct OperationBench {
  var devices: [DeviceChoice]
  var threads: [Int]
  var filter: String
  var usesTuning: Bool
  var format: BenchFormat

  func run() async throws {
    var objects: [Object] = []
    for device in devices {
      let names =
        device == .auto ? DeviceInventory.list().devices.prefix(1).map(\.name) : ["\(device)"]
      for name in names {
        for threads in threads.isEmpty ? [nil] : threads.map({ Optional($0) }) {
          try await measure(name, threads, &objects)
        }
      }
    }
    if format == .json { try printJSON(objects) }
    if Interrupt.isRaised { throw ApusError(.request, "stopped") }
  }

  private func measure(
    _ device: String, _ threads: Int?, _ objects: inout [Object]
  ) async throws(ApusError) {
    if format == .md {
      let words = threads.map { $0 == 1 ? ", one thread" : ", \($0) threads" } ?? ""
      Terminal.write("\(device)\(words)\n\n" + Self.line(Self.header) + Self.line(Self.rule))
    } else if format == .csv, objects.isEmpty {
      Terminal.write(Object.names.joined(separator: ",") + "\n")
    }
    try await DeviceInventory.timeOperations(
      device, threads: threads, filter: filter, usesTuning: usesTuning,
      until: { Interrupt.isRaised }
    ) { timing in
      let object = Object(timing, device, threads)
      objects.append(object)
      switch format {
      case .md: Terminal.write(Self.line(object.cells))
      case .csv: Terminal.write(object.fields.joined(separator: ",") + "\n")
      case .json: break
      }
    }
    if format == .md { Terminal.write("\n") }
  }

  private static let header = [
    "operation", "type", "shape", "µs", "GB/s", "GFLOP/s", "of limit",
  ]
  private static let widths = [9, 13, 44, 10, 7, 8, 8]
  private static var rule: [String] {
    widths.enumerated().map { index, width in
      index < 3
        ? String(repeating: "-", count: width) : String(repeating: "-", count: width - 1) + ":"
    }
  }

  private static func line(_ cells: [String]) -> String {
    zip(cells, widths).enumerated().reduce("|") { text, item in
      let (index, (cell, width)) = item
      let space = String(repeating: " ", count: max(0, width - cell.count))
      return text + " " + (index < 3 ? cell + space : space + cell) + " |"
    } + "\n"
  }

  /// A row for programs.
  private struct Object: Encodable {
    var device: String
    var threads: Int?
    var operation: String
    var type: String
    var shape: String
    var seconds: Double
    var bytes: Int
    var flops: Int
    var gb_per_s: Double
    var gflop_per_s: Double
    var share: Double?

    static let names = [
      "device", "threads", "operation", "type", "shape", "seconds", "bytes", "flops", "gb_per_s",
      "gflop_per_s", "share",
    ]

    init(_ timing: OperationTiming, _ device: String, _ threads: Int?) {
      self.device = device
      self.threads = threads
      operation = timing.operation
      type = timing.type
      shape = timing.title
      seconds = timing.seconds
      bytes = timing.bytes
      flops = timing.flops
      gb_per_s = Double(timing.bytes) / timing.seconds * 1e-9
      gflop_per_s = Double(timing.flops) / timing.seconds * 1e-9
      share = timing.share
    }

    var fields: [String] {
      [
        "\"\(device)\"", threads.map { "\"\($0)\"" } ?? "\"\"", "\"\(operation)\"", "\"\(type)\"",
        "\"\(shape)\"", "\"\(seconds)\"", "\"\(bytes)\"", "\"\(flops)\"",
        "\"\(decimals(gb_per_s, 3))\"", "\"\(decimals(gflop_per_s, 3))\"",
        share.map { "\"\(decimals($0, 4))\"" } ?? "\"\"",
      ]
    }

    var cells: [String] {
      [
        operation, type, shape, decimals(seconds * 1e6, 1), decimals(gb_per_s, 1),
        decimals(gflop_per_s, 1), share.map { "\(decimals($0 * 100, 0)) %" } ?? "",
      ]
    }
  }
}

import Apus
import ArgumentParser

/// The form in which `apus bench` prints.
enum BenchFormat: String, CaseIterable, ExpressibleByArgument, Sendable {
  /// A table that can be pasted into a page.
  case md
  /// An array with an object for each row.
  case json
  /// A line for each row, below a line of names.
  case csv
}

/// Prints rows as they come, or at the end where the form has an end.
struct BenchReport {
  private let format: BenchFormat
  private var rows: [BenchRow] = []

  init(_ format: BenchFormat) { self.format = format }

  /// Adds a row; tables and lines are printed at once.
  mutating func add(_ row: BenchRow) {
    rows.append(row)
    switch format {
    case .md:
      if rows.count == 1 { Terminal.write(Self.header) }
      Terminal.write(Self.line(row))
    case .csv:
      if rows.count == 1 { Terminal.write(Self.csvHeader(row)) }
      Terminal.write(Self.csvLine(row))
    case .json: break
    }
  }

  /// Prints what comes last.
  func finish() throws(ApusError) {
    switch format {
    case .md: if !rows.isEmpty { Terminal.write("\n" + Self.devices(rows)) }
    case .csv: break
    case .json: try printJSON(rows.map(Self.object))
    }
  }

  static func object(_ row: BenchRow) -> [String: BenchValue] {
    Dictionary(row.fields.map { ($0.name, $0.value) }) { $1 }
  }

  static func csvHeader(_ row: BenchRow) -> String {
    row.fields.filter { $0.value.field != nil }.map(\.name).joined(separator: ",") + "\n"
  }

  static func csvLine(_ row: BenchRow) -> String {
    row.fields.compactMap(\.value.field).joined(separator: ",") + "\n"
  }

  /// Name, width, and whether numbers stand to the right.
  private static let columns: [(name: String, width: Int, isRight: Bool)] = [
    ("model", 22, false), ("size", 10, true), ("params", 10, true), ("backend", 10, false),
    ("threads", 7, true), ("test", 14, true), ("t/s", 18, true), ("GB/s read", 9, true),
  ]

  static var header: String {
    let rules = columns.map { column in
      column.isRight
        ? String(repeating: "-", count: column.width - 1) + ":"
        : String(repeating: "-", count: column.width)
    }
    return joined(columns.map(\.name)) + joined(rules)
  }

  static func line(_ row: BenchRow) -> String {
    let speed = Statistic(row.result.tokensPerSecond)
    return joined([
      row.modelType, size(row.modelBytes), count(row.parameters), row.device.name,
      "\(row.threads)", "\(row.result.test)",
      "\(decimals(speed.mean, 2)) ± \(decimals(speed.deviation, 2))",
      row.readRate.map { decimals($0, 1) } ?? "",
    ])
  }

  private static func joined(_ cells: [String]) -> String {
    zip(cells, columns).reduce("|") { text, pair in
      let (cell, column) = pair
      let space = String(repeating: " ", count: max(0, column.width - cell.count))
      return text + " " + (column.isRight ? space + cell : cell + space) + " |"
    } + "\n"
  }

  private static func size(_ bytes: Int) -> String {
    let mebibytes = Double(bytes) / 1_048_576
    return mebibytes < 1024
      ? "\(decimals(mebibytes, 2)) MiB" : "\(decimals(mebibytes / 1024, 2)) GiB"
  }

  private static func count(_ parameters: Int) -> String {
    parameters < 1_000_000_000
      ? "\(decimals(Double(parameters) / 1e6, 2)) M"
      : "\(decimals(Double(parameters) / 1e9, 2)) B"
  }

  /// What the rows ran on, a line each, and the build.
  private static func devices(_ rows: [BenchRow]) -> String {
    var seen: Set<String> = []
    var lines: [String] = []
    for row in rows where seen.insert(row.device.name).inserted {
      lines.append("\(row.device.name): \(row.device.hardware), \(row.device.driver)")
    }
    if let row = rows.first {
      lines.append(
        "host: \(row.processor.name), \(row.processor.usableCPUs) CPUs, "
          + "\(row.processor.instructionSet); build: apus \(ApusCommand.configuration.version)")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

import Apus
import ArgumentParser

/// The form in which `apus bench` prints.
package enum BenchFormat: String, CaseIterable, ExpressibleByArgument, Sendable {
  /// A table that can be pasted into a page.
  case md
  /// An array with an object for each row.
  case json
  /// A line for each row, below a line of names.
  case csv
}

/// Prints rows as they come, or at the end where the form has an end.
package struct BenchReport {
  private let format: BenchFormat
  private let columns: [Column]
  private var rows: [BenchRow] = []

  /// `showsBatch`: whether rows differ in how many tokens of a prompt are computed at once; `showsPolicy`:
  /// whether new tokens read a part of the cache only.
  package init(_ format: BenchFormat, showsBatch: Bool = false, showsPolicy: Bool = false) {
    self.format = format
    columns = Self.columns.filter {
      (showsBatch || $0.name != "n_batch") && (showsPolicy || $0.name != "reads")
    }
  }

  /// Adds a row; tables and lines are printed at once.
  mutating func add(_ row: BenchRow) {
    rows.append(row)
    switch format {
    case .md:
      if rows.count == 1 { Terminal.write(header) }
      Terminal.write(line(row))
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

  package static func object(_ row: BenchRow) -> [String: BenchValue] {
    Dictionary(row.fields.map { ($0.name, $0.value) }) { $1 }
  }

  package static func csvHeader(_ row: BenchRow) -> String {
    row.fields.filter { $0.value.field != nil }.map(\.name).joined(separator: ",") + "\n"
  }

  package static func csvLine(_ row: BenchRow) -> String {
    row.fields.compactMap(\.value.field).joined(separator: ",") + "\n"
  }

  /// A column of the table.
  private struct Column: Sendable {
    var name: String
    var width: Int
    var isRight: Bool
    var cell: @Sendable (BenchRow) -> String
  }

  private static let columns: [Column] = [
    Column(name: "model", width: 22, isRight: false) { $0.modelType },
    Column(name: "size", width: 10, isRight: true) { size($0.modelBytes) },
    Column(name: "params", width: 10, isRight: true) { count($0.parameters) },
    Column(name: "backend", width: 10, isRight: false) { $0.device.name },
    Column(name: "threads", width: 7, isRight: true) { "\($0.threads)" },
    Column(name: "n_batch", width: 7, isRight: true) { "\($0.batch)" },
    Column(name: "test", width: 14, isRight: true) { "\($0.result.test)" },
    Column(name: "reads", width: 12, isRight: true) { row in
      row.budget.map { "\(row.policy.rawValue) \($0)" } ?? row.policy.rawValue
    },
    Column(name: "t/s", width: 20, isRight: true) { row in
      let speed = Statistic(row.result.tokensPerSecond)
      return "\(decimals(speed.mean, 2)) ± \(decimals(speed.deviation, 2))"
    },
    Column(name: "GB/s read", width: 9, isRight: true) {
      $0.readRate.map { decimals($0, 1) } ?? ""
    },
    Column(name: "of probe", width: 8, isRight: true) {
      $0.readShare.map { "\(decimals($0 * 100, 0)) %" } ?? ""
    },
  ]

  package var header: String {
    let rules = columns.map { column in
      column.isRight
        ? String(repeating: "-", count: column.width - 1) + ":"
        : String(repeating: "-", count: column.width)
    }
    return joined(columns.map(\.name)) + joined(rules)
  }

  package func line(_ row: BenchRow) -> String { joined(columns.map { $0.cell(row) }) }

  private func joined(_ cells: [String]) -> String {
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

import Apus

/// Prints where each operation of a model runs: layers that agree are one line.
func printPlacement(_ model: LanguageModel) {
  let lines = model.placementReport()
  for notice in model.notices { Terminal.note("apus: \(notice)") }
  Terminal.write(
    table(
      ["operation", "type", "layers", "device", "variant", "reads", "reason"],
      lines.map {
        [
          $0.label, $0.operation, "\($0.count)", $0.device, $0.variant, $0.reads ?? "",
          $0.reason ?? "first in order",
        ]
      }))
  for line in model.stepReport() { Terminal.write("\n\(line)\n") }
}

/// Columns padded to their widest cell, a header and a line under it.
func table(_ header: [String], _ rows: [[String]]) -> String {
  let rows = rows.map { $0.map(\.inOneLine) }
  let widths = header.indices.map { column in
    ([header] + rows).map { $0[column].count }.max() ?? 0
  }
  func line(_ cells: [String]) -> String {
    let padded = zip(cells, widths).map { cell, width in
      cell + String(repeating: " ", count: width - cell.count)
    }
    var text = padded.joined(separator: "  ")
    while text.hasSuffix(" ") { text.removeLast() }
    return text + "\n"
  }
  let rule = widths.map { String(repeating: "-", count: $0) }
  return line(header) + line(rule) + rows.map(line).joined()
}

/// A column of a table: words stand left, numbers right.
struct Column {
  let title: String
  let isText: Bool
  var cells: [String] = []

  init(_ title: String, isText: Bool) {
    self.title = title
    self.isText = isText
  }

  /// A header, a rule and the cells, all as wide as the widest.
  var padded: [String] {
    let width = ([title] + cells).map(\.count).max() ?? 0
    return ([title, String(repeating: "-", count: width)] + cells).map { cell in
      let space = String(repeating: " ", count: width - cell.count)
      return isText ? cell + space : space + cell
    }
  }
}

/// The lines of a table.
func lines(_ columns: [Column]) -> String {
  let padded = columns.map(\.padded)
  return (0..<(padded.first?.count ?? 0)).map { line in
    var text = padded.map { $0[line] }.joined(separator: "  ")
    while text.hasSuffix(" ") { text.removeLast() }
    return text + "\n"
  }.joined()
}

/// A number with so many decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
  var scale = 1.0
  for _ in 0..<decimals { scale *= 10 }
  let scaled = (value * scale).rounded()
  guard scaled.isFinite, abs(scaled) < 1e15 else { return "\(value)" }
  let digits = String(Int(abs(scaled)))
  let sign = scaled < 0 ? "-" : ""
  if decimals == 0 { return sign + digits }
  let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
  return "\(sign)\(padded.dropLast(decimals)).\(padded.suffix(decimals))"
}

/// A share in percent.
func percent(_ share: Double) -> String { fixed(share * 100, 1) + "%" }

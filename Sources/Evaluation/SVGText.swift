/// A number as SVG has it, with so many decimals.
func fixed(_ value: Double, _ digits: Int = 1) -> String {
  guard value.isFinite, abs(value) < 1e12 else { return "0" }
  let unit = (0..<digits).reduce(1) { power, _ in power * 10 }
  let scaled = Int((value * Double(unit)).rounded())
  let sign = scaled < 0 ? "-" : ""
  guard digits > 0 else { return "\(scaled)" }
  let rest = "\(abs(scaled) % unit)"
  return sign + "\(abs(scaled) / unit)."
    + String(repeating: "0", count: digits - rest.count) + rest
}

/// Text as SVG has it.
func escaped(_ text: String) -> String {
  text.reduce(into: "") { result, character in
    switch character {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    default: result.append(character)
    }
  }
}

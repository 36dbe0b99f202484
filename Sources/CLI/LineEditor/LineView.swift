/// How a text being typed looks on a terminal of so many columns: rows, and the cursor among them.
package struct LineLayout: Hashable, Sendable {
  package private(set) var rows: [String]
  package private(set) var cursorRow = 0
  package private(set) var cursorColumn = 0

  /// Breaks the text where the terminal would, and at line feeds, where it is indented as far as the
  /// prompt is wide.
  package init(prompt: String, before: String, after: String, columns: Int) {
    let columns = max(columns, 8)
    let indent = prompt.terminalWidth
    var column = indent
    rows = [prompt]
    func put(_ text: String, _ rows: inout [String]) {
      for character in text {
        if character == "\n" {
          rows.append(String(repeating: " ", count: indent))
          column = indent
          continue
        }
        let shown = character == "\t" ? "    " : String(character)
        let width = shown.terminalWidth
        if column + width > columns {
          rows.append("")
          column = 0
        }
        rows[rows.count - 1] += shown
        column += width
      }
    }
    put(before, &rows)
    if column >= columns, !after.hasPrefix("\n") {
      rows.append("")
      column = 0
    }
    (cursorRow, cursorColumn) = (rows.count - 1, min(column, columns - 1))
    put(after, &rows)
  }
}

/// Draws layouts over one another by escape sequences. It knows where it left the cursor, and nothing
/// else of the terminal.
package struct LineView: Sendable {
  private var rowsAbove = 0
  private var rowsBelow = 0

  package init() {}

  /// What to write so that the terminal shows `layout` in place of the one before. Of what is higher
  /// than the terminal the part around the cursor is shown.
  package mutating func draw(_ layout: LineLayout, height: Int) -> String {
    let height = max(height, 1)
    let first = max(0, min(layout.cursorRow - height / 2, layout.rows.count - height))
    let rows = layout.rows[first..<min(first + height, layout.rows.count)]
    var output = erase() + rows.joined(separator: "\r\n") + "\r"
    rowsAbove = layout.cursorRow - first
    rowsBelow = rows.count - 1 - rowsAbove
    if rowsBelow > 0 { output += "\u{1B}[\(rowsBelow)A" }
    if layout.cursorColumn > 0 { output += "\u{1B}[\(layout.cursorColumn)C" }
    return output
  }

  /// What to write to remove the layout.
  package mutating func erase() -> String {
    defer { (rowsAbove, rowsBelow) = (0, 0) }
    return (rowsAbove > 0 ? "\u{1B}[\(rowsAbove)A" : "") + "\r\u{1B}[J"
  }

  /// What to write to go on below the layout.
  package mutating func leave() -> String {
    defer { (rowsAbove, rowsBelow) = (0, 0) }
    return (rowsBelow > 0 ? "\u{1B}[\(rowsBelow)B" : "") + "\r\n"
  }
}

extension StringProtocol {
  /// The columns that a terminal gives the text.
  package var terminalWidth: Int { reduce(0) { $0 + $1.terminalWidth } }
}

extension Character {
  /// A character is as wide as the widest of what it is composed of.
  fileprivate var terminalWidth: Int {
    // A heart, made an emoji by a selector that itself has no width.
    if unicodeScalars.contains("\u{FE0F}") { return 2 }
    return unicodeScalars.reduce(0) { Swift.max($0, $1.terminalWidth) }
  }
}

extension UnicodeScalar {
  /// Where Unicode's East Asian Width is W or F, in ranges; emoji besides have a property.
  private static let wide: [ClosedRange<UInt32>] = [
    0x1100...0x115F, 0x2329...0x232A, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF,
    0x4E00...0x9FFF, 0xA000...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF,
    0xFE10...0xFE19, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x17000...0x18DFF,
    0x1B000...0x1B2FF, 0x1F200...0x1F265, 0x20000...0x3FFFD,
  ]

  fileprivate var terminalWidth: Int {
    switch properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format, .control: return 0
    default: break
    }
    if properties.isEmojiPresentation { return 2 }
    return Self.wide.contains { $0.contains(value) } ? 2 : 1
  }
}

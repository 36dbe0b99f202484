/// Which pages of the cache each layer read, step by step, as an SVG that stands alone: a panel for each layer, with
/// pages from left to right and steps from top to bottom. What all kv heads read is dark, what none did is empty. A bar at
/// the right of a step is as long as the share of attention that its pages hold.
package struct PagesPlot: Sendable {
  /// What a layer read in a step.
  package struct Row: Sendable {
    /// For each kv head.
    package var pages: [[Int]]
    /// What these hold of the attention to all pages, from 0 to 1; empty where nobody knows.
    package var attention: [Float]

    /// A row.
    package init(pages: [[Int]], attention: [Float] = []) {
      (self.pages, self.attention) = (pages, attention)
    }

    /// Of all heads together.
    fileprivate var share: Double? { PagesPlot.mean(attention.map { Double($0) }) }
  }

  private let title: String
  /// For each step the layers.
  private let steps: [[Int: Row]]

  /// Of these steps; the title says what they are from.
  package init(title: String, steps: [[Int: Row]]) {
    (self.title, self.steps) = (title, steps)
  }

  private static let (panelWidth, panelHeight, gap) = (200.0, 120.0, 34.0)
  /// How long the bar of all attention is.
  private static let barWidth = 20.0
  private static let columns = 5

  /// The picture.
  package var text: String {
    let layers = Set(steps.flatMap(\.keys)).sorted()
    let pages = 1 + (steps.flatMap { $0.values.flatMap(\.pages).joined() }.max() ?? 0)
    let rows = (layers.count + Self.columns - 1) / Self.columns
    let width = Double(Self.columns) * (Self.panelWidth + Self.gap) + Self.gap
    let height = 70 + Double(rows) * (Self.panelHeight + Self.gap)
    var svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(at(width)) \(at(height))\" "
      + "role=\"img\" aria-label=\"\(escaped(title))\">\n"
      + "<style>text{font:13px sans-serif;fill:#222}.frame{fill:none;stroke:#999}"
      + ".read{fill:#0072b2}.attention{fill:#d55e00}</style>\n"
      + "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
      + "<text x=\"\(at(Self.gap))\" y=\"24\">\(escaped(title))</text>\n"
      + "<text x=\"\(at(Self.gap))\" y=\"44\">across: \(pages) pages of the cache; down: \(steps.count) "
      + "tokens; dark: read by all kv heads; bars, %: their share of attention</text>\n"
    for (index, layer) in layers.enumerated() {
      let left =
        Self.gap + Double(index % Self.columns) * (Self.panelWidth + Self.gap)
      let top = 76 + Double(index / Self.columns) * (Self.panelHeight + Self.gap)
      svg += panel(layer, left, top, pages)
    }
    return svg + "</svg>\n"
  }

  private func panel(_ layer: Int, _ left: Double, _ top: Double, _ pages: Int) -> String {
    let (x, y) = (Self.panelWidth / Double(pages), Self.panelHeight / Double(max(1, steps.count)))
    let shared = Self.mean(steps.compactMap { $0[layer]?.share })
    let label = "layer \(layer)" + (shared.map { ": \(fixed(100 * $0))%" } ?? "")
    var svg = "<text x=\"\(at(left))\" y=\"\(at(top - 5))\">\(label)</text>\n"
    for (step, layers) in steps.enumerated() {
      let heads = layers[layer]?.pages ?? []
      if let share = layers[layer]?.share {
        svg +=
          "<rect class=\"attention\" x=\"\(at(left + Self.panelWidth + 2))\" "
          + "y=\"\(at(top + y * Double(step)))\" width=\"\(at(Self.barWidth * share))\" "
          + "height=\"\(at(y))\"/>"
      }
      var counts = [Int](repeating: 0, count: pages)
      for page in heads.joined() where page >= 0 { counts[page] += 1 }
      // Neighbours that were read by as many heads are one rectangle.
      var first = 0
      while first < pages {
        let end = counts[first...].firstIndex { $0 != counts[first] } ?? pages
        if counts[first] > 0 {
          let share = Double(counts[first]) / Double(heads.count)
          svg +=
            "<rect class=\"read\" opacity=\"\(at(share))\" x=\"\(at(left + x * Double(first)))\" "
            + "y=\"\(at(top + y * Double(step)))\" width=\"\(at(x * Double(end - first)))\" "
            + "height=\"\(at(y))\"/>"
        }
        first = end
      }
    }
    return svg
      + "<rect class=\"frame\" x=\"\(at(left))\" y=\"\(at(top))\" width=\"\(at(Self.panelWidth))\" "
      + "height=\"\(at(Self.panelHeight))\"/>\n"
  }

  private static func mean(_ numbers: [Double]) -> Double? {
    numbers.isEmpty ? nil : numbers.reduce(0, +) / Double(numbers.count)
  }

  /// Many tokens make thin rows: two decimals.
  private func at(_ value: Double) -> String { fixed(value, 2) }
}

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Quality against budget and speed against budget, as an SVG that stands alone. A policy without a budget
/// is a line across.
package struct CurvePlot: Sendable {
  /// One policy at one budget.
  package struct Point: Sendable {
    package var policy: String
    /// Nil where all is read.
    package var budget: Int?
    package var natsPerToken: Double
    package var standardError: Double
    package var tokensPerSecond: Double

    package init(
      policy: String, budget: Int?, natsPerToken: Double, standardError: Double,
      tokensPerSecond: Double
    ) {
      (self.policy, self.budget, self.natsPerToken) = (policy, budget, natsPerToken)
      (self.standardError, self.tokensPerSecond) = (standardError, tokensPerSecond)
    }
  }

  private let title: String
  private let points: [Point]
  private let policies: [String]

  /// Of these points; the title says what was asked of which model.
  package init(title: String, points: [Point]) {
    self.title = title
    self.points = points
    policies = points.reduce(into: []) { if !$0.contains($1.policy) { $0.append($1.policy) } }
  }

  private static let colours = ["#444444", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"]

  private func colour(_ policy: String) -> String {
    let index = policies.firstIndex(of: policy) ?? 0
    return Self.colours[index % Self.colours.count]
  }

  /// The picture.
  package var text: String {
    var svg =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1040 460\" role=\"img\" "
      + "aria-label=\"\(escaped(title))\">\n<style>text{font:13px sans-serif;fill:#222}"
      + ".grid{stroke:#ddd}.axis{stroke:#222}</style>\n"
      + "<rect width=\"1040\" height=\"460\" fill=\"#fff\"/>\n"
      + label(20, 26, title, "start")
    svg += panel("nats per token (less is better)", at: 70, { $0.natsPerToken }) {
      $0.standardError
    }
    svg += panel("tokens a second (more is better)", at: 590, { $0.tokensPerSecond }) { _ in 0 }
    for (index, policy) in policies.enumerated() {
      let x = 70 + 130 * Double(index)
      svg +=
        "<line x1=\"\(fixed(x))\" y1=\"448\" x2=\"\(fixed(x + 24))\" y2=\"448\" "
        + "stroke=\"\(colour(policy))\" stroke-width=\"3\"/>"
      svg += label(x + 30, 452, policy, "start")
    }
    return svg + "</svg>\n"
  }

  private func panel(
    _ name: String, at left: Double, _ value: (Point) -> Double, error: (Point) -> Double
  ) -> String {
    let (right, top, bottom) = (left + 430, 60.0, 390.0)
    let budgets = Set(points.compactMap(\.budget)).sorted()
    let x = Scale(budgets.map { log2(Double($0)) }, from: left + 20, to: right - 20)
    let y = Scale(
      points.flatMap { [value($0) - error($0), value($0) + error($0)] }, from: bottom, to: top)
    var svg = ""
    for tick in y.ticks {
      svg += line(left, y[tick], right, y[tick], "class=\"grid\"")
      svg += label(left - 8, y[tick] + 4, "\(fixed(tick, y.digits))", "end")
    }
    for budget in budgets {
      svg += label(x[log2(Double(budget))], bottom + 18, "\(budget)", "middle")
    }
    svg += line(left, bottom, right, bottom, "class=\"axis\"")
    svg += line(left, top, left, bottom, "class=\"axis\"")
    svg += label((left + right) / 2, bottom + 36, "tokens of the cache that are read", "middle")
    svg += label(left, top - 10, name, "start")
    for policy in policies {
      svg += curve(
        points.filter { $0.policy == policy }, left, right, x, y, value, error, colour(policy))
    }
    return svg
  }

  private func curve(
    _ points: [Point], _ left: Double, _ right: Double, _ x: Scale, _ y: Scale,
    _ value: (Point) -> Double, _ error: (Point) -> Double, _ colour: String
  ) -> String {
    var svg = ""
    for point in points where point.budget == nil {
      svg += line(
        left, y[value(point)], right, y[value(point)],
        "stroke=\"\(colour)\" stroke-dasharray=\"6 4\" stroke-width=\"2\"")
    }
    let dots = points.compactMap { point in
      point.budget.map { (x: x[log2(Double($0))], point: point) }
    }.sorted { $0.x < $1.x }
    let path = dots.map { "\(fixed($0.x)),\(fixed(y[value($0.point)]))" }.joined(separator: " ")
    if dots.count > 1 {
      svg +=
        "<polyline points=\"\(path)\" fill=\"none\" stroke=\"\(colour)\" stroke-width=\"2\"/>"
    }
    for (place, point) in dots {
      if error(point) > 0 {
        svg += line(
          place, y[value(point) - error(point)], place, y[value(point) + error(point)],
          "stroke=\"\(colour)\" stroke-width=\"1.5\"")
      }
      svg +=
        "<circle cx=\"\(fixed(place))\" cy=\"\(fixed(y[value(point)]))\" r=\"4\" "
        + "fill=\"\(colour)\"><title>\(escaped(point.policy)) \(point.budget ?? 0): "
        + "\(fixed(value(point), 4))</title></circle>"
    }
    return svg + "\n"
  }

  private func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String
  ) -> String {
    "<line \(style) x1=\"\(fixed(x1))\" y1=\"\(fixed(y1))\" x2=\"\(fixed(x2))\" y2=\"\(fixed(y2))\"/>"
  }

  private func label(_ x: Double, _ y: Double, _ text: String, _ anchor: String) -> String {
    "<text x=\"\(fixed(x))\" y=\"\(fixed(y))\" text-anchor=\"\(anchor)\">\(escaped(text))</text>\n"
  }
}

/// From values to places on the page, between round numbers.
private struct Scale {
  let ticks: [Double]
  /// Decimals that tell ticks apart.
  let digits: Int
  private let first: Double
  private let last: Double
  private let from: Double
  private let to: Double

  init(_ values: [Double], from: Double, to: Double) {
    let sound = values.filter(\.isFinite)
    let (least, most) = (sound.min() ?? 0, sound.max() ?? 1)
    let span = most > least ? most - least : max(1e-3, abs(most))
    let decade = pow(10, log10(span / 4).rounded(.down))
    let step = [1, 2, 5, 10].map { $0 * decade }.first { $0 >= span / 5 } ?? decade
    let (low, high) = ((least / step).rounded(.down), (most / step).rounded(.up))
    first = low * step
    last = max(high, low + 1) * step
    ticks = (0...Int(max(high - low, 1))).map { (low + Double($0)) * step }
    digits = max(0, Int((-log10(step)).rounded(.up)))
    (self.from, self.to) = (from, to)
  }

  subscript(_ value: Double) -> Double {
    from + (to - from) * (value - first) / (last - first)
  }
}

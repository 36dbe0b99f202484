import Evaluation
import Testing

@Suite struct CurvePlotTests {
  private func point(
    _ policy: String, _ budget: Int?, _ nats: Double, _ speed: Double, error: Double = 0
  ) -> CurvePlot.Point {
    CurvePlot.Point(
      policy: policy, budget: budget, natsPerToken: nats, standardError: error,
      tokensPerSecond: speed)
  }

  private func numbers(_ name: String, in svg: String) -> [Double] {
    svg.split(separator: " \(name)=\"").dropFirst().compactMap {
      $0.split(separator: "\"").first.flatMap { Double($0) }
    }
  }

  @Test func pointsLieWhereTheyBelong() throws {
    let svg = CurvePlot(
      title: "a <b> & \"c\"",
      points: [
        point("full", nil, 2.5, 80), point("quest", 256, 3.5, 200, error: 0.25),
        point("quest", 1024, 2.6, 150, error: 0.125), point("sinks", 1024, 2.9, 160),
      ]
    ).text
    #expect(svg.hasPrefix("<svg xmlns=") && svg.hasSuffix("</svg>\n"))
    #expect(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;") && !svg.contains("<b>"))
    // A point in each panel, a curve for two of them, a line across for what has no budget.
    let (x, y) = (numbers("cx", in: svg), numbers("cy", in: svg))
    #expect(x.count == 6 && y.count == 6)
    #expect(svg.split(separator: "<polyline").count == 3)
    #expect(svg.split(separator: "stroke-dasharray").count == 3)
    // More tokens lie further right, more nats and more speed higher up; both panels apart.
    #expect(x[0] < x[1] && x[1] == x[2] && y[0] < y[2] && y[2] < y[1])
    #expect(y[3] < y[5] && y[5] < y[4] && x[3] > 590 && x[1] < 500)
    #expect(y.allSatisfy { (60...390).contains($0) })
    for tag in ["text", "title", "svg", "style"] {
      #expect(
        svg.split(separator: "<\(tag)", omittingEmptySubsequences: false).count
          == svg.split(separator: "</\(tag)>", omittingEmptySubsequences: false).count)
    }
  }

  /// One value, no value, values that are none.
  @Test func aPictureOfNothingIsAPicture() {
    for points in [
      [], [point("full", nil, 0, 0)], [point("quest", 48, 3, 100)],
      [point("quest", 48, .nan, .infinity)],
    ] {
      let svg = CurvePlot(title: "t", points: points).text
      #expect(svg.hasSuffix("</svg>\n") && !svg.contains("nan") && !svg.contains("inf"))
    }
  }
}

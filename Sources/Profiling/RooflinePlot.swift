import Devices

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Kernels under the roof of their device (Williams, Waterman & Patterson, 2009): how many operations
/// they do for a byte, and how many in a second. Both axes are logarithmic.
struct RooflinePlot {
  private let profile: Profile
  private let width = 1040.0
  private let height = 460.0
  private let left = 70.0
  private let right = 20.0
  private let top = 20.0
  private let bottom = 50.0

  init(_ profile: Profile) { self.profile = profile }

  /// A kernel in a phase.
  private struct Point {
    var name: String
    var phase: Profile.Phase
    var share: Double
    /// Operations for a byte, and billions of them in a second.
    var intensity: Double
    var rate: Double
  }

  private func points(_ device: Int) -> [Point] {
    Profile.Phase.allCases.flatMap { phase -> [Point] in
      let launches = profile.launches(phase).filter { $0.device == device }
      return ProfileTable(launches, on: profile.devices, by: .kernel).rows.compactMap {
        row -> Point? in
        guard row.flops > 0, row.bytes > 0, row.total > 0 else { return nil }
        return Point(
          name: row.operation, phase: phase, share: row.share,
          intensity: Double(row.flops) / Double(row.bytes), rate: row.gigaflops)
      }
    }
  }

  /// A plot for each device that was measured.
  var text: String {
    let plots = profile.devices.indices.compactMap { device in
      profile.devices[device].roofline.map { plot(device, $0, points(device)) }
    }
    guard !plots.isEmpty else {
      return "<p>What this device reaches at best is not known: 'apus devices --roofline' measures "
        + "it.</p>"
    }
    return plots.joined(separator: "\n")
  }

  private func plot(_ device: Int, _ roofline: Roofline, _ points: [Point]) -> String {
    let bandwidth = roofline.bandwidth / 1e9
    let roofs = [
      ("f32", roofline.floatRate / 1e9), ("int8", roofline.integerRate / 1e9),
    ]
    let knees = roofs.map { $0.1 / bandwidth }
    let x = Axis(points.map(\.intensity) + knees + [0.1, 100], from: left, to: width - right)
    let y = Axis(points.map(\.rate) + roofs.map(\.1) + [1], from: height - bottom, to: top)

    var svg =
      "<svg id=\"roofline-\(device)\" viewBox=\"0 0 \(fixed(width, 0)) "
      + "\(fixed(height, 0))\" role=\"img\" aria-label=\"Roofline of "
      + "\(escaped(profile.devices[device].traits.name))\">"
    for tick in x.ticks {
      svg += line(x[tick], top, x[tick], height - bottom, "grid")
      svg += label(x[tick], height - bottom + 18, power(tick), "middle")
    }
    for tick in y.ticks {
      svg += line(left, y[tick], width - right, y[tick], "grid")
      svg += label(left - 8, y[tick] + 4, power(tick), "end")
    }
    svg += line(left, height - bottom, width - right, height - bottom, "axis")
    svg += line(left, top, left, height - bottom, "axis")
    svg += label((left + width - right) / 2, height - 8, "operations per byte", "middle")
    svg +=
      "<text transform=\"translate(16 \(fixed((top + height - bottom) / 2, 0))) rotate(-90)\" "
      + "text-anchor=\"middle\">billions of operations per second</text>"

    // The slope is what memory allows; each flat roof is one kind of arithmetic.
    let highest = roofs.map(\.1).max() ?? 1
    let foot = max(x.least, y.least / bandwidth)
    svg += line(x[foot], y[foot * bandwidth], x[highest / bandwidth], y[highest], "roof")
    let middle = (foot * highest / bandwidth).squareRoot()
    svg += label(
      x[middle] - 10, y[middle * bandwidth] - 8, "\(fixed(bandwidth, 1)) GB/s", "end")
    for (name, rate) in roofs {
      svg += line(x[rate / bandwidth], y[rate], width - right, y[rate], "roof")
      // One name stands above its roof and one below: the two may be the same.
      let isAbove = name == "int8"
      svg += label(
        width - right - 4, y[rate] + (isAbove ? -6 : 15), "\(name) \(fixed(rate, 0)) G/s", "end")
    }
    return svg + dots(points, x, y)
  }

  /// The kernels: filled for prefill, rings for decode, their area the share of the phase.
  private func dots(_ points: [Point], _ x: Axis, _ y: Axis) -> String {
    var palette = Palette()
    var (dots, labels) = ("", "")
    var taken: [(x: Double, y: Double)] = []
    for point in points.sorted(by: { $0.share > $1.share }) {
      let colour = palette.colour(point.name)
      let radius = 4 + 22 * point.share.squareRoot()
      let fill = point.phase == .prefill ? colour : "none"
      dots +=
        "<circle cx=\"\(fixed(x[point.intensity], 1))\" cy=\"\(fixed(y[point.rate], 1))\" "
        + "r=\"\(fixed(radius, 1))\" fill=\"\(fill)\" fill-opacity=\"0.75\" stroke=\"\(colour)\" "
        + "stroke-width=\"2.5\"><title>\(escaped(point.name)), \(point.phase.rawValue): "
        + "\(percent(point.share)) of the time, \(fixed(point.rate, 1)) billion operations per "
        + "second, \(fixed(point.intensity, 2)) per byte</title></circle>"
      guard point.share >= 0.04 else { continue }
      // On the side where there is room, and below what is there already.
      let isRight = x[point.intensity] < 0.7 * width
      let place = x[point.intensity] + (isRight ? radius + 5 : -radius - 5)
      let level = y[point.rate] + 4
      var line = level
      while taken.contains(where: { abs($0.x - place) < 180 && abs($0.y - line) < 14 }) {
        line += 14
      }
      taken.append((place, line))
      if line > level {
        labels += self.line(x[point.intensity], level - 4, place, line - 4, "leader")
      }
      labels += label(
        place, line, "\(point.name) (\(point.phase.rawValue))", isRight ? "start" : "end")
    }
    return dots + labels + "</svg>\n" + palette.key
      + "<p>Filled: prefill. Rings: decode. The area is the share of the phase's time. Above the slope "
      + "is what came from a cache. Kernels that only copy are not here.</p>"
  }

  private func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ kind: String
  ) -> String {
    "<line class=\"\(kind)\" x1=\"\(fixed(x1, 1))\" y1=\"\(fixed(y1, 1))\" x2=\"\(fixed(x2, 1))\" "
      + "y2=\"\(fixed(y2, 1))\"/>"
  }

  private func label(_ x: Double, _ y: Double, _ text: String, _ anchor: String) -> String {
    "<text class=\"halo\" x=\"\(fixed(x, 1))\" y=\"\(fixed(y, 1))\" text-anchor=\"\(anchor)\">"
      + "\(escaped(text))</text>"
  }

  /// A power of ten as people write it.
  private func power(_ value: Double) -> String {
    value >= 1 ? fixed(value, 0) : fixed(value, max(0, Int((-log10(value)).rounded())))
  }
}

/// A logarithmic axis over whole decades.
private struct Axis {
  private let first: Double
  private let last: Double
  private let from: Double
  private let to: Double

  init(_ values: [Double], from: Double, to: Double) {
    let logs = values.filter { $0 > 0 && $0.isFinite }.map { log10($0) }
    first = (logs.min() ?? 0).rounded(.down)
    last = max((logs.max() ?? 1).rounded(.up), first + 1)
    (self.from, self.to) = (from, to)
  }

  var least: Double { pow(10, first) }

  /// Powers of ten.
  var ticks: [Double] { (Int(first)...Int(last)).map { pow(10, Double($0)) } }

  /// Where a value lies on the page.
  subscript(_ value: Double) -> Double {
    from + (to - from) * (log10(value) - first) / (last - first)
  }
}

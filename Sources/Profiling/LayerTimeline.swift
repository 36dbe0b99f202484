import Devices

/// One step of a phase, a line for each layer: its launches from the layer's first one on.
struct LayerTimeline {
  private let launches: [Profile.Launch]
  private let step: Int
  private let left = 80.0
  private let width = 1040.0
  private let right = 80.0
  private let pitch = 17.0

  /// The step of a phase whose launches take as long as most do.
  init(_ profile: Profile, _ phase: Profile.Phase) {
    let steps = Dictionary(grouping: profile.launches(phase), by: \.step)
    func total(_ step: Int) -> Int64 {
      (steps[step] ?? []).reduce(0) { $0 + $1.record.times.duration }
    }
    let order = steps.keys.sorted { (total($0), $0) < (total($1), $1) }
    step = order.isEmpty ? 0 : order[order.count / 2]
    launches = (steps[step] ?? []).sorted {
      $0.record.times.started < $1.record.times.started
    }
  }

  /// Launches that follow one another in one layer, or outside of all.
  private struct Line {
    var name: String
    var records: [LaunchRecord]
    var started: Int64 { records.first?.times.started ?? 0 }
    var duration: Int64 { (records.map(\.times.ended).max() ?? 0) - started }
  }

  private var lines: [Line] {
    var lines: [Line] = []
    var layer: Int??
    for launch in launches {
      let record = launch.record
      if lines.isEmpty || layer != .some(record.layer) {
        layer = .some(record.layer)
        let outside = lines.isEmpty ? "input" : "output"
        lines.append(Line(name: record.layer.map { "layer \($0)" } ?? outside, records: []))
      }
      lines[lines.count - 1].records.append(record)
    }
    return lines
  }

  var text: String {
    let lines = lines
    let inLayers = lines.filter { $0.name.hasPrefix("layer") }
    // What is outside of the layers may take much longer than any, and is cut then.
    guard let longest = (inLayers.isEmpty ? lines : inLayers).map(\.duration).max(), longest > 0
    else { return "" }
    let scale = (width - left - right) / Double(longest)
    var palette = Palette()
    var svg = ""
    for (row, line) in lines.enumerated() {
      let y = Double(row) * pitch + 24
      svg +=
        "<text x=\"\(fixed(left - 8, 0))\" y=\"\(fixed(y + 11, 1))\" text-anchor=\"end\">"
        + "\(line.name)</text>"
      for record in line.records {
        svg += bar(record, line, y, scale, palette.colour(record.label))
      }
      let mark = line.duration > longest ? "→ " : ""
      svg +=
        "<text x=\"\(fixed(width - right + 8, 0))\" y=\"\(fixed(y + 11, 1))\">"
        + "\(mark)\(fixed(Double(line.duration) / 1e3, 0)) µs</text>"
    }
    let height = Double(lines.count) * pitch + 28
    let phase = launches.first?.phase.rawValue ?? ""
    return "<p>Step \(step), a line for each layer, from the layer's first launch on:</p>"
      + "<svg id=\"layers-\(phase)\" viewBox=\"0 0 \(fixed(width, 0)) \(fixed(height, 0))\" "
      + "role=\"img\" aria-label=\"Layers of a step\">\(axis(longest, scale, height))\(svg)</svg>\n"
      + palette.key
  }

  private func bar(
    _ record: LaunchRecord, _ line: Line, _ y: Double, _ scale: Double, _ colour: String
  ) -> String {
    let end = width - right
    let x = left + Double(record.times.started - line.started) * scale
    guard x < end else { return "" }
    // A bar that is too thin to see is still there.
    let length = max(0.6, min(Double(record.times.duration) * scale, end - x))
    return "<rect x=\"\(fixed(x, 2))\" y=\"\(fixed(y, 1))\" width=\"\(fixed(length, 2))\" "
      + "height=\"\(fixed(pitch - 3, 1))\" fill=\"\(colour)\"><title>\(escaped(record.label)), "
      + "\(escaped("\(record.key)")), \(escaped(record.variant)), \(escaped(record.shape)): "
      + "\(fixed(Double(record.times.duration) / 1e3, 1)) µs</title></rect>"
  }

  /// Four parts of the longest layer.
  private func axis(_ longest: Int64, _ scale: Double, _ height: Double) -> String {
    (0...4).map { part in
      let time = Double(longest) * Double(part) / 4
      let x = fixed(left + time * scale, 1)
      return "<line class=\"grid\" x1=\"\(x)\" y1=\"18\" x2=\"\(x)\" y2=\"\(fixed(height, 0))\"/>"
        + "<text x=\"\(x)\" y=\"12\" text-anchor=\"middle\">\(fixed(time / 1e3, 0)) µs</text>"
    }.joined()
  }
}

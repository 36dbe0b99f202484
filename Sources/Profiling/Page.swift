import Devices

/// A recording as one page that needs nothing else: what the devices reach at best and how near the
/// kernels come, what each layer did, and the tables.
package struct Page {
  private let profile: Profile

  package init(_ profile: Profile) { self.profile = profile }

  /// An HTML document.
  package var text: String {
    let phases = Profile.Phase.allCases.filter { profile.summaries[$0] != nil }
    let title = escaped("\(profile.model), profiled by Apus")
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width">
      <title>\(title)</title>
      <style>\(Self.style)</style>
      </head>
      <body>
      <h1>\(escaped(profile.model))</h1>
      <p>\(devices)</p>
      <h2>Roofline</h2>
      \(RooflinePlot(profile).text)
      \(phases.map(section).joined(separator: "\n"))
      </body>
      </html>

      """
  }

  private var devices: String {
    let waiting = profile.waitedFor
    return profile.devices.enumerated().map { index, device in
      "<b>\(device.traits.name)</b> \(escaped(device.traits.hardware)), "
        + "\(escaped(device.traits.driver)), \(device.traits.units) threads or compute units"
        + (waiting.contains(index) ? "<br>\(Profile.waitingRemark)" : "")
        + (device.roofline.map { "<br>at best \($0.summary)" } ?? "")
    }.joined(separator: "<br>")
  }

  private func section(_ phase: Profile.Phase) -> String {
    let tables = [ProfileTable.Grouping.op, .kernel, .layer].map { grouping in
      let table = ProfileTable(profile.launches(phase), on: profile.devices, by: grouping)
      return "<details\(grouping == .op ? " open" : "")><summary>By \(grouping.rawValue)</summary>"
        + html(table, id: "\(phase.rawValue)-\(grouping.rawValue)") + "</details>"
    }
    let name = phase == .prefill ? "Prefill" : "Decode"
    return "<h2>\(name)</h2>\n<p>\(escaped(profile.heading(phase)))</p>\n"
      + LayerTimeline(profile, phase).text + "\n" + tables.joined(separator: "\n")
  }

  private func html(_ table: ProfileTable, id: String) -> String {
    let columns = table.columns
    let head = columns.map { "<th\($0.isText ? " class=\"text\"" : "")>\(escaped($0.title))</th>" }
    let rows = (0..<(columns.first?.cells.count ?? 0)).map { row in
      // The last row adds the others up, and needs no bar.
      let share = row < table.rows.count ? table.rows[row].share : 0
      let bar = "style=\"--share:\(fixed(share * 100, 1))%\""
      return "<tr \(row < table.rows.count ? bar : "class=\"sum\"")>"
        + columns.map { "<td\($0.isText ? " class=\"text\"" : "")>\(escaped($0.cells[row]))</td>" }
        .joined() + "</tr>"
    }
    return "<table id=\"\(id)\"><thead><tr>\(head.joined())</tr></thead><tbody>\n"
      + rows.joined(separator: "\n") + "</tbody></table>"
  }

  private static let style = """
    body { font: 15px/1.5 system-ui, sans-serif; color: #1d2530; background: #fff;
      max-width: 1080px; margin: 2em auto; padding: 0 1.5em; }
    h1 { font-size: 1.6em; margin-bottom: .2em; }
    h2 { font-size: 1.25em; margin: 1.8em 0 .3em; border-bottom: 1px solid #d5dbe3; }
    p { margin: .4em 0; color: #465466; }
    svg { display: block; width: 100%; height: auto; margin: .8em 0; }
    svg text { font: 12px system-ui, sans-serif; fill: #33404f; }
    svg .axis { stroke: #8795a6; stroke-width: 1; }
    svg .leader { stroke: #8795a6; stroke-width: 0.7; }
    svg .grid { stroke: #e6eaf0; stroke-width: 1; }
    svg .roof { stroke: #33404f; stroke-width: 2; fill: none; }
    svg .halo { paint-order: stroke; stroke: #fff; stroke-width: 3px; }
    details { margin: .6em 0; }
    summary { cursor: pointer; font-weight: 600; }
    table { border-collapse: collapse; width: 100%; font-size: 13px; margin: .4em 0 1em;
      font-variant-numeric: tabular-nums; }
    th, td { padding: .2em .6em; text-align: right; white-space: nowrap; }
    th { border-bottom: 1px solid #8795a6; font-weight: 600; }
    th.text, td.text { text-align: left; }
    tbody tr { background: linear-gradient(#dcebfb, #dcebfb) no-repeat left / var(--share, 0%) 100%; }
    tr.sum { border-top: 1px solid #8795a6; font-weight: 600; }
    .key { display: flex; flex-wrap: wrap; gap: .2em 1.2em; font-size: 13px; color: #33404f; }
    .key i { display: inline-block; width: .8em; height: .8em; border-radius: .2em;
      margin-right: .4em; }
    """
}

/// Text as it may stand in a document.
func escaped(_ text: String) -> String {
  text.reduce(into: "") { escaped, character in
    switch character {
    case "&": escaped += "&amp;"
    case "<": escaped += "&lt;"
    case ">": escaped += "&gt;"
    case "\"": escaped += "&quot;"
    default: escaped.append(character)
    }
  }
}

/// A colour of its own for each name, in the order in which names are first met.
struct Palette {
  private(set) var names: [String] = []

  /// The colour of a name. Steps of the golden angle keep neighbours apart.
  mutating func colour(_ name: String) -> String {
    let place = names.firstIndex(of: name) ?? names.count
    if place == names.count { names.append(name) }
    return Self.colour(place)
  }

  private static func colour(_ place: Int) -> String {
    // Another lightness for each time round the circle of hues.
    let lightness = [50, 68, 36][place / 7 % 3]
    return "hsl(\((210 + place * 138) % 360) 65% \(lightness)%)"
  }

  /// What each colour stands for.
  var key: String {
    let entries = names.enumerated().map { place, name in
      "<span><i style=\"background:\(Self.colour(place))\"></i>\(escaped(name))</span>"
    }
    return "<div class=\"key\">\(entries.joined())</div>"
  }
}

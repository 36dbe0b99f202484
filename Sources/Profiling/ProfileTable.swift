import Devices

/// Launches that are alike, added up.
package struct ProfileRow: Sendable {
  /// Operation and element type; of a layer, nothing.
  package var operation: String
  /// What the row is about: a kernel, a layer or a node of the graph.
  package var name: String
  package var calls = 0
  /// Nanoseconds.
  package var total: Int64 = 0
  package var shortest = Int64.max
  package var longest: Int64 = 0
  package var bytes = 0
  package var flops = 0
  /// Of the total of the table.
  package var share = 0.0
  /// Seconds that the work takes at least on its devices, or nil where one of them is not known.
  var attainable: Double? = 0

  init(operation: String, name: String) {
    self.operation = operation
    self.name = name
  }

  package var mean: Double { calls == 0 ? 0 : Double(total) / Double(calls) }
  /// A byte in a nanosecond is a gigabyte in a second.
  package var gigabytesPerSecond: Double { total == 0 ? 0 : Double(bytes) / Double(total) }
  package var gigaflops: Double { total == 0 ? 0 : Double(flops) / Double(total) }
  /// How near the device came to what it reaches at best with work of this kind. More than 1 where
  /// operands came from a cache.
  package var rooflineShare: Double? {
    guard let attainable, total > 0 else { return nil }
    return attainable * 1e9 / Double(total)
  }

  mutating func add(_ record: LaunchRecord, _ roofline: Roofline?) {
    let work = record.work
    let duration = record.times.duration
    calls += 1
    total += duration
    shortest = min(shortest, duration)
    longest = max(longest, duration)
    bytes += work.bytes
    flops += work.flops
    attainable = roofline.flatMap { limits in attainable.map { $0 + limits.seconds(work) } }
  }
}

/// Where the time of some launches went.
package struct ProfileTable: Sendable {
  package enum Grouping: String, Sendable, Hashable, CaseIterable {
    case kernel
    case layer
    case op
  }

  /// Longest first; layers in their order.
  package let rows: [ProfileRow]
  /// All rows together.
  package let sum: ProfileRow
  private let grouping: Grouping

  package init(
    _ launches: [Profile.Launch], on devices: [Profile.OnDevice], by grouping: Grouping
  ) {
    self.grouping = grouping
    let isShared = Set(launches.map(\.device)).count > 1
    var rows: [ProfileRow] = []
    var places: [Key: Int] = [:]
    var sum = ProfileRow(operation: "", name: "all")
    for launch in launches {
      let key = Key(launch, grouping)
      let place = places[key] ?? rows.count
      if place == rows.count {
        places[key] = place
        let device = isShared ? "\(devices[launch.device].traits.name) " : ""
        rows.append(key.row(device, grouping))
      }
      let roofline = devices[launch.device].roofline
      rows[place].add(launch.record, roofline)
      sum.add(launch.record, roofline)
    }
    for place in rows.indices where sum.total > 0 {
      rows[place].share = Double(rows[place].total) / Double(sum.total)
    }
    sum.share = 1
    self.sum = sum
    self.rows = grouping == .layer ? rows : rows.sorted { $0.total > $1.total }
  }

  /// What launches of one row have in common.
  private struct Key: Hashable {
    var device: Int
    var operation: String
    var name: String

    init(_ launch: Profile.Launch, _ grouping: Grouping) {
      let record = launch.record
      device = launch.device
      switch grouping {
      case .kernel: (operation, name) = ("\(record.key)", record.variant)
      case .op: (operation, name) = ("\(record.key)", record.label)
      case .layer:
        (operation, name) = ("", record.layer.map { "layer \($0)" } ?? "outside of layers")
      }
    }

    func row(_ device: String, _ grouping: Grouping) -> ProfileRow {
      ProfileRow(operation: operation, name: device + name)
    }
  }

  /// The table as text.
  package var text: String { lines(columns) }

  /// The columns, with a last row for the sum.
  var columns: [Column] {
    let isByLayer = grouping == .layer
    var columns = [Column(grouping.rawValue, isText: true)]
    if !isByLayer { columns.append(Column("operation", isText: true)) }
    columns += [
      "calls", "total ms", "share", "mean µs", "min µs", "max µs", "MB", "GB/s", "GFLOP/s",
      "roofline",
    ].map { Column($0, isText: false) }
    for row in rows.isEmpty ? [] : rows + [sum] {
      var cells = [row.name]
      if !isByLayer { cells.append(row.operation) }
      cells += [
        "\(row.calls)", fixed(Double(row.total) / 1e6, 2), percent(row.share),
        fixed(row.mean / 1e3, 1), fixed(Double(row.shortest) / 1e3, 1),
        fixed(Double(row.longest) / 1e3, 1), fixed(Double(row.bytes) / 1e6, 1),
        fixed(row.gigabytesPerSecond, 1), fixed(row.gigaflops, 1),
        row.rooflineShare.map(percent) ?? "–",
      ]
      for (index, cell) in cells.enumerated() { columns[index].cells.append(cell) }
    }
    return columns
  }
}

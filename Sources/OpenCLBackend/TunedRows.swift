package import Devices
import DiskCache
import Synchronization
import Tensors

/// An operation that is timed, and decides for others that do the same.
enum TimedOperation: Hashable {
  case linear(ElementType, int8: Bool)
  case attend(KVLayout.Element)

  /// The one that a tuning names, as an `OperationKey` does.
  static func named(_ name: String) -> TimedOperation? { names[name] }

  private static let names: [String: TimedOperation] = {
    var names: [String: TimedOperation] = [:]
    for type in ElementType.allCases {
      names["linear \(type.name) × int8"] = .linear(type, int8: true)
      names["linear \(type.name) × f32"] = .linear(type, int8: false)
    }
    for element in KVLayout.Element.allCases {
      names["attend \(element.rawValue)"] = .attend(element)
    }
    return names
  }()
}

extension OperationKind {
  /// The operation whose timing decides for it: kernels that are fused from a linear layer of a token read
  /// weights as that does.
  var tunedAs: TimedOperation? {
    switch self {
    case .linear(let type, let int8): .linear(type, int8: int8)
    case .linearAdd(let type), .gatedUnit(let type, _, _), .attentionInputs(let type, _, _, _, _):
      .linear(type, int8: true)
    case .attend(let element), .attendQuantize(let element): .attend(element)
    default: nil
    }
  }

  /// Whether it has the variants of that operation, and not only some parameters of it.
  fileprivate var hasItsVariants: Bool {
    switch self {
    case .gatedUnit, .attentionInputs: false
    default: true
    }
  }

  /// Whether it is that operation.
  fileprivate var isTimed: Bool {
    switch self {
    case .linear, .attend: true
    default: false
    }
  }
}

extension KernelTable {
  /// The row that a choice is about, as it is without the choice; nil where there is none, or it takes
  /// no such values.
  package static func row(of choice: Tuning.Choice) -> KernelRow? {
    TimedOperation.named(choice.operation).flatMap { timed[$0] }?.lazy.map { rows[$0] }.first {
      $0.variant == choice.variant && $0.serves(choice.rows)
        && $0.tuned(choice.settings) != nil
    }
  }

  /// The rows of operations that are timed.
  private static let timed: [TimedOperation: [Int]] = {
    var timed: [TimedOperation: [Int]] = [:]
    for (number, row) in rows.enumerated() where row.kind.isTimed {
      if let operation = row.kind.tunedAs { timed[operation, default: []].append(number) }
    }
    return timed
  }()

  /// What tells the program of a row from another version of it: its own text and those that it shares with
  /// others, without comments. The prelude, which every program has, is left out.
  package static func fingerprint(_ row: KernelRow) -> String {
    fingerprints.withLock { known in
      if let print = known[row.program] { return print }
      let lines = (row.shared + [row.program]).flatMap { name in
        (KernelSource.texts[name] ?? "").split(separator: "\n")
      }.filter { line in !line.drop { $0 == " " }.hasPrefix("//") }
      let print = String(SHA256.hex(Array(lines.joined(separator: "\n").utf8)).prefix(8))
      known[row.program] = print
      return print
    }
  }

  /// By program: what it shares with others is a matter of the program alone.
  private static let fingerprints = Mutex<[String: String]>([:])

  /// The rows that a tuning adds for a device with some features. Their numbers follow those of the table.
  static func tuned(_ tuning: Tuning, by features: Set<Feature>) -> [KernelRow] {
    guard !tuning.choices.isEmpty else { return [] }
    let byOperation = Dictionary(grouping: tuning.choices) {
      TimedOperation.named($0.operation)
    }
    var tuned: [KernelRow] = []
    for row in rows {
      guard let operation = row.kind.tunedAs, let choices = byOperation[operation],
        row.needs.map(features.contains) ?? true
      else { continue }
      for choice in choices where row.serves(choice.rows) {
        guard let chosen = self.row(of: choice) else { continue }
        var settings = choice.settings
        if row.kind.hasItsVariants {
          guard row.variant == chosen.variant else { continue }
        } else {
          settings.removeAll { setting in
            !row.tunables.contains { $0.name == setting.name }
          }
          guard row.needs == chosen.needs, choice.rows == .one, !settings.isEmpty else { continue }
        }
        guard var made = row.tuned(settings) else { continue }
        if choice.rows == .one {
          made.rowLimit = 1
        } else {
          made.leastRows = max(made.leastRows, 2)
        }
        tuned.append(made)
      }
    }
    return tuned
  }

  /// The rows that a device reaches, with tuned ones in front of those that they take the place of.
  static func reached(
    by features: Set<Feature>, without dropped: Set<Int>, tuned: [KernelRow]
  ) -> [OperationKind: [Int]] {
    var reached = reached(by: features, without: dropped)
    for (index, row) in tuned.enumerated() where !dropped.contains(rows.count + index) {
      var numbers = reached[row.kind] ?? []
      // Rows that leave parts serve launches that no other should.
      let place = numbers.firstIndex { $0 >= rows.count || rows[$0].then == nil }
      numbers.insert(rows.count + index, at: place ?? numbers.count)
      reached[row.kind] = numbers
    }
    return reached
  }
}

extension OpenCLDevice {
  /// A way in which the device could run an operation.
  package struct Variant: Sendable, Hashable {
    package var name: String
    package var tunables: [Tunable]

    package init(name: String, tunables: [Tunable]) {
      self.name = name
      self.tunables = tunables
    }
  }

  /// The ways of running launches of an operation, first the one that is taken by a device without a
  /// tuning; none for an operation that is not timed.
  package func variants(
    of operation: Operation, input: Format, rows: Tuning.Rows
  ) -> [Variant] {
    guard let kind = OperationKind(operation, input: input), kind.isTimed else { return [] }
    return KernelTable.rows.filter {
      $0.kind == kind && $0.serves(rows) && ($0.needs.map(features.contains) ?? true)
    }.map { Variant(name: $0.variant, tunables: $0.tunables) }
  }
}

extension OpenCLDevices {
  /// Tunings that come with Apus, as text by the names of their files.
  package static var shippedTunings: [(name: String, text: String)] {
    KernelSource.tunings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// What tells a listed device and its driver from others.
  package static func identity(of device: Description) -> [String] {
    guard case .success(let handles) = handles(), handles.indices.contains(device.index) else {
      return []
    }
    return identity(of: handles[device.index], device)
  }
}

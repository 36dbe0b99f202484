package import Devices
package import ModelGraph
package import Tensors

/// Everything that a run needs, as values: which buffers to make, what to put into them, and the
/// instructions of a step.
package struct ExecutionPlan: Sendable {
  /// What a buffer is for, in memory reports.
  package enum Purpose: String, Sendable, Hashable, CaseIterable {
    case weights
    case keyValueCache = "key-value cache"
    case scratch
    case step
  }

  package struct Buffer: Sendable, Hashable {
    package var device: Int
    package var id: BufferID
    package var bytes: Int
    package var purpose: Purpose
    package var label: String
  }

  /// A weight that is copied into a buffer, some rows at a time.
  package struct Load: Sendable, Hashable {
    package var device: Int
    package var weight: Weight
    package var region: Region
    /// Rows of a part; the last one may be shorter.
    package var partRows: Int

    /// The parts in order.
    package var parts: [Range<Int>] {
      stride(from: 0, to: weight.rows, by: partRows).map {
        $0..<min($0 + partRows, weight.rows)
      }
    }
  }

  /// A weight that is read where the file is mapped.
  package struct Map: Sendable, Hashable {
    package var device: Int
    package var weight: Weight
    package var id: BufferID
  }

  /// A constant that is copied into a buffer.
  package struct Fill: Sendable, Hashable {
    package var device: Int
    package var values: [Float]
    package var region: Region
  }

  package enum Step: Sendable, Hashable {
    case run(device: Int, [Instruction])
    /// A value moves from one device to another through the host.
    case transfer(Operand, from: Int, Operand, to: Int)
  }

  /// What keeps keys and values, or bounds of them, of the pages of all sequences.
  package struct Cache: Sendable {
    package var device: Int
    /// `rows` counts pages.
    package var operand: Operand
    /// Whether it has places for the pages of a window only.
    package var isWindow = false
  }

  package internal(set) var buffers: [Buffer] = []
  /// The pool of layers that look back over a window only, or nil where none does.
  package internal(set) var window: WindowPool?
  /// In the order of the layers.
  package internal(set) var caches: [Cache] = []
  /// What rows of a prompt attend to, of the layers that keep a part of its pages, in order: kv heads × tokens.
  package internal(set) var columns: [Cache] = []
  package internal(set) var loads: [Load] = []
  package internal(set) var maps: [Map] = []
  package internal(set) var fills: [Fill] = []
  package internal(set) var steps: [Step] = []
  package internal(set) var placements: [Placement] = []
  package internal(set) var stepLayout: StepLayout
  /// The step buffer of each device that needs one.
  package internal(set) var stepBuffers: [Int: BufferID] = [:]
  package internal(set) var logits: (device: Int, operand: Operand)
  /// What runs in place of `steps` where rows read chosen pages, or nil where they never do.
  package internal(set) var chosen: Chosen?
  /// What runs in place of `steps` where rows of a prompt attend to a part of what they see, or nil where they
  /// never do.
  package internal(set) var sparse: Chosen?
  /// For each device, the most that one part of a weight takes on the host while it is loaded: its
  /// bytes as they lie in the file, and what the device needs to bring them into its own layout.
  package internal(set) var staging: [Int: Int] = [:]

  /// What a step may hold at most.
  package let bounds: SymbolSizes

  /// Instructions for rows that read chosen pages, or attend to chosen tokens.
  package struct Chosen: Sendable {
    package internal(set) var steps: [Step]
    package internal(set) var placements: [Placement]
    package internal(set) var logits: (device: Int, operand: Operand)
    /// What such a step may hold at most.
    package let bounds: SymbolSizes
  }
}

extension StepPlane {
  /// The place of a plane that not every step has, among those.
  fileprivate var order: [Int]? {
    switch self {
    case .begin(let window): [0, window ?? 0]
    case .chosenEnd(let pages): [1, pages]
    case .chosenTable(let stride): [2, stride]
    case .chosenTables(let pages): [3, pages]
    case .observed(let count): [4, count ?? 0]
    case .keptEnd(let place): [5, place]
    case .keptTables(let place, _, _): [6, place]
    case .layerTables(let layer, let stride): [7, layer, stride]
    case .wholeTables: [8, 0]
    case .windowSlots: [9, 0]
    case .windowTables: [10, 0]
    case .allRows: [11, 0]
    case .latestBegin: [12, 0]
    case .cachePositions: [13, 0]
    case .sinkEnd: [14, 0]
    default: nil
    }
  }
}

/// Where the planes lie in the step buffer, the same on every device.
package struct StepLayout: Sendable, Hashable {
  package let bounds: SymbolSizes
  /// Entries of all page tables together.
  package let tableCapacity: Int
  /// The planes in the order in which they lie there.
  package let planes: [StepPlane]
  /// Every plane starts at a multiple of this.
  private static let alignment = 128

  /// A layout for instructions that read these planes, beside those that every step has.
  package init(bounds: SymbolSizes, tableCapacity: Int, reading read: Set<StepPlane>) {
    self.bounds = bounds
    self.tableCapacity = tableCapacity
    let some = read.compactMap { plane in plane.order.map { (plane, $0) } }
      .sorted { $0.1.lexicographicallyPrecedes($1.1) }.map(\.0)
    planes = [.tokens, .positions, .slots] + some + [.end, .table, .outputRows, .tables]
  }

  /// The windows of the model's layers, nil for all that came before.
  package var windows: Set<Int?> {
    Set(
      planes.compactMap { plane -> Int?? in
        if case .begin(let window) = plane { .some(window) } else { nil }
      })
  }

  /// Whether rows read the tokens of their own window apart.
  package var keepsLatest: Bool { planes.contains(.latestBegin) }

  /// Whether rows read a text's first page apart.
  package var turnsSinks: Bool { planes.contains(.sinkEnd) }

  /// The numbers of pages from which rows choose.
  package var choices: Set<Int> {
    Set(planes.compactMap { if case .chosenEnd(let pages) = $0 { pages } else { nil } })
  }

  /// How many layers keep a part of a prompt's pages, and how long their lists are at most; nil where none does.
  package var kept: (layers: Int, stride: Int)? {
    let strides = planes.compactMap { plane -> Int? in
      if case .keptTables(_, _, let stride) = plane { stride } else { nil }
    }
    return strides.first.map { (strides.count, $0) }
  }

  /// Entries that a plane holds.
  package func capacity(_ plane: StepPlane) -> Int {
    switch plane {
    case .tables, .wholeTables, .windowTables: tableCapacity
    case .outputRows: bounds.outputs
    case .chosenTables(let pages): min(bounds.rows, PageReading.rowLimit) * pages
    case .observed(let count): count ?? bounds.rows
    case .keptEnd: 1
    case .keptTables(_, let heads, let stride): heads * stride
    case .layerTables(_, let stride): min(bounds.rows, PageReading.rowLimit) * stride
    default: bounds.rows
    }
  }

  /// Byte offset of a plane.
  package func offset(_ plane: StepPlane) -> Int {
    planes.prefix { $0 != plane }.reduce(0) { sum, earlier in
      sum + (capacity(earlier) * 4 + Self.alignment - 1) / Self.alignment * Self.alignment
    }
  }

  /// Bytes of the whole buffer.
  package var bytes: Int { offset(.tables) + tableCapacity * 4 }

  func operand(_ plane: StepPlane, in buffer: BufferID) -> Operand {
    let rows: Dimension =
      switch plane {
      case .tables, .wholeTables, .windowTables: .fixed(tableCapacity)
      case .chosenTables, .layerTables, .observed(.some), .keptTables: .fixed(capacity(plane))
      case .outputRows: .symbol(.outputs)
      default: .symbol(.rows)
      }
    return Operand(
      region: Region(buffer: buffer, offset: offset(plane)), rows: rows, width: 1, format: .i32)
  }
}

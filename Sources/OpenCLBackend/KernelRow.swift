/// One row of the kernel table: which kernel serves an operation, and how it is launched.
package struct KernelRow: Sendable {
  var kind: OperationKind
  /// Names the variant in reports.
  package var variant: String
  /// The file under `Kernels/`, without its ending.
  package var program: String
  /// The kernel function.
  package var entry: String
  /// What it needs of the device and driver, or nil where plain OpenCL C 1.2 is enough.
  package var needs: Feature?
  /// Texts under `Kernels/` that stand between the prelude and the program.
  package var shared: [String] = []
  /// Parameters of the program.
  package var defines: [Define] = []
  package var arguments: [Argument]
  /// What the first index of the range runs over.
  var x: Extent
  /// What the second runs over.
  var y = Extent(.one)
  /// Work-items of a work-group along `x`, or nil where the device decides.
  var groupWidth: Int?
  /// The row serves launches of at most so many rows.
  var rowLimit = Int.max
  /// And of at least so many.
  var leastRows = 1
  /// What a tuning set.
  var settings: [Tuning.Setting] = []
  /// It leaves parts in the workspace, for rows that each are of a sequence of their own; the row of
  /// this kind is launched behind it.
  var then: OperationKind?
}

extension KernelRow {
  /// Whether it finishes what another launch of the same instruction began.
  var isSequel: Bool { if case .mergeParts = kind { true } else { false } }

  /// Whether no launch is beyond the row, so that rows after it are not reached.
  var isUnlimited: Bool { leastRows <= 1 && rowLimit == .max && then == nil }

  /// Whether the row is meant for a launch of so many rows.
  func serves(rows: Int, _ measures: Measures) -> Bool {
    leastRows <= rows && rows <= rowLimit && (then == nil || measures.leavesParts)
  }
}

/// A parameter that the program is built with.
package struct Define: Sendable {
  package var name: String
  var value: Value

  enum Value: Sendable {
    case number(Int)
    case measure(Measure)
  }

  init(_ name: String, _ number: Int) { (self.name, value) = (name, .number(number)) }
  init(_ name: String, _ measure: Measure) { (self.name, value) = (name, .measure(measure)) }
}

extension Feature? {
  /// How programs that may have inline assembly learn which.
  var assembly: [Define] {
    [Define("VNNI", self == .vnni ? 1 : 0), Define("AVX2", self == .avx2 ? 1 : 0)]
  }

  /// What stands before the name of a variant that has some.
  var prefix: String { map { $0.isAssembly ? "\($0) " : "" } ?? "" }
}

/// One argument of a kernel, or a buffer's two: memory and offset.
package enum Argument: Sendable {
  case input(Int)
  case weight(Int)
  /// The second weight where there is one, else the first; `hasBias` tells which.
  case bias
  case output
  /// What another stage of attention has left, where there is one, else anything that is there.
  case left
  /// An argument of a part of a fused operation, as that one alone has it; parts are counted in
  /// order, those of parts in their place.
  indirect case part(Int, Argument)
  case workspace
  /// A 32-bit count.
  case count(Measure)
  /// A float.
  case number(Parameter)
  /// A float that the kernel does not use.
  case zero
  /// The units of `x` that one work-item takes: a 32-bit count.
  case each

  /// Parameters of the kernel function that it fills.
  package var parameterCount: Int {
    switch self {
    case .input, .weight, .bias, .output, .left, .workspace: 2
    case .part(_, let argument): argument.parameterCount
    case .count, .number, .zero, .each: 1
    }
  }
}

/// A count that an instruction implies.
package enum Measure: Sendable {
  case one
  /// Rows that are worked on.
  case rows
  case inputWidth
  case outputWidth
  /// Numbers that share a norm, and how many such groups the rows have.
  case normWidth
  case normGroups
  /// Numbers of the output.
  case elements
  /// Blocks of 32 in a row of the input.
  case blocks
  /// Blocks of 32 in a row of the output.
  case outputBlocks
  case heads
  case kvHeads
  case headWidth
  /// Heads of queries, keys and values together.
  case headUnits
  /// Query heads that share a kv head.
  case headsShared
  /// Spans of tokens that rows may see, and those of all kv heads.
  case spans
  case kvHeadSpans
  /// Pages of the pool.
  case poolPages
  /// Pages of the pool that is written, where another is read.
  case writtenPages
  /// Pages that a row reads at most, those of its own window, and how far the page tables of kv heads are apart.
  case chosenPages
  case chosenWindow
  case tableStride
  /// Numbers of a kv head in a row of page scores, and lots of 16 pages that rows may see: of one kv head
  /// and of all.
  case scoreStride
  case pageLots
  case kvHeadLots
  /// Rows that are observed, and windows of tokens that their sums are for: of one kv head and of all.
  case observedRows
  case columnWindows
  case kvHeadWindows
  /// Rows by which tokens are chosen, rows that attend to these, and the share that they have of all.
  case probes
  case seeingRows
  case tokenShare
  /// Pages of the pool of all kv heads.
  case kvHeadPages
  /// Rows that one work-item of attention takes, and how many such tiles there are.
  case tileRows
  case rowTiles
  case ropeDimensions
  /// 1 or 0.
  case hasBias
  case isRotated
  /// 1 where attention leaves what it has gathered, and 2 more where it begins with what was left.
  case stage
}

/// A float that an instruction carries.
package enum Parameter: Sendable {
  case epsilon
  case scale
  case magnitude
}

/// How one index of a range covers a measure.
struct Extent: Sendable {
  var measure: Measure
  /// The fewest units of the measure that a work-item takes.
  var step: Int
  /// Whether a work-item may take many steps, where there are more than keep the device busy.
  var spreads: Bool

  init(_ measure: Measure, step: Int = 1, spreads: Bool = false) {
    self.measure = measure
    self.step = step
    self.spreads = spreads
  }
}

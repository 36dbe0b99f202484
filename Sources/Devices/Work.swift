package import ModelGraph
import Tensors

/// What rows of attention see, added up: the size that decides what it costs.
package struct Sight: Sendable, Hashable {
  /// Pairs of a row and a token that it sees.
  package var pairs = 0
  /// Tokens that at least one row sees, each counted once for its sequence.
  package var tokens = 0

  package init() {}

  /// What rows see that look at the tokens `begin ..< end` of the sequence whose pages begin at
  /// `table`. Rows of a sequence stand together, and what they see hangs together.
  package init(begin: [Int32], end: [Int32], table: [Int32]) {
    var seen: Range<Int32>?
    var sequence: Int32?
    for row in begin.indices where begin[row] < end[row] {
      let range = begin[row]..<end[row]
      pairs += range.count
      if sequence == table[row], let before = seen {
        seen =
          min(before.lowerBound, range.lowerBound)..<max(before.upperBound, range.upperBound)
      } else {
        tokens += seen?.count ?? 0
        (seen, sequence) = (range, table[row])
      }
    }
    tokens += seen?.count ?? 0
  }
}

/// What an operation costs at the least: the bytes that it must read and write once, and its
/// arithmetic. Caches may make the bytes cheaper; a kernel that reads them twice only looks slower.
package struct Work: Sendable, Hashable {
  package var bytesRead = 0
  package var bytesWritten = 0
  /// Multiplications and additions.
  package var flops = 0
  /// Whether the bulk of them is on integers of 8 bits.
  package var isInteger = false

  package var bytes: Int { bytesRead + bytesWritten }
}

extension Operation {
  /// What the operation costs on operands of these sizes: the one formula for profiles, OpSuite and
  /// whoever else needs to know.
  package func work(
    inputs: [Operand], output: Operand, sizes: SymbolSizes, sight: Sight = Sight()
  ) -> Work {
    var work = Work(bytesRead: 0, bytesWritten: output.bytes(sizes))
    let rows = sizes[output.rows]
    let elements = rows * output.width
    switch self {
    case .pure(.embedRows(let embed)):
      work.bytesRead = inputs[0].bytes(sizes) + rows * embed.table.rowBytes
      work.flops = elements
    case .pure(.rmsNorm(let norm)):
      work.bytesRead = inputs[0].bytes(sizes) + norm.weight.bytes
      work.flops = 4 * elements
    case .pure(.linear(let layer)):
      let weights = layer.weight.bytes + (layer.bias?.bytes ?? 0)
      work.bytesRead = inputs[0].bytes(sizes) + (rows == 0 ? 0 : weights)
      work.flops = 2 * elements * layer.weight.width + (layer.bias == nil ? 0 : elements)
      work.isInteger = inputs[0].format == .int8Blocks
    case .pure(.rope(let rope)):
      work.bytesRead = inputs[0].bytes(sizes) + inputs[1].bytes(sizes) + rope.dimensions * 2
      work.flops = 10 * rows * rope.headCount * rope.dimensions
    case .pure(.add):
      work.bytesRead = inputs[0].bytes(sizes) + inputs[1].bytes(sizes)
      work.flops = elements
    case .pure(.gated):
      // An exponential is a polynomial, a reciprocal four steps of Newton's.
      work.bytesRead = inputs[0].bytes(sizes) + inputs[1].bytes(sizes)
      work.flops = 30 * elements
    case .pure(.selectRows):
      work.bytesRead = elements * 4 + inputs[1].bytes(sizes)
    case .pure(.attention):
      break
    case .quantize:
      work.bytesRead = inputs[0].bytes(sizes)
      work.flops = 4 * elements
    case .rotateHeads(let rotation):
      work.bytesRead = inputs[0].bytes(sizes)
      work.flops = elements * (rotation.blockWidth.trailingZeroBitCount + 1)
    case .writeKV(let layout):
      // The pool stays as it is but for the rows' own tokens.
      let tokens = sizes[inputs[0].rows]
      work.bytesRead = inputs.prefix(3).reduce(0) { $0 + $1.bytes(sizes) }
      work.bytesWritten = tokens * layout.tokenBytes
    case .copyKV(let layout):
      let tokens = sizes[inputs[0].rows]
      work.bytesRead = tokens * (8 + layout.latest.tokenBytes)
      work.bytesWritten = tokens * layout.tokenBytes
    case .boundPages(let layout):
      // At most one page of each row, and of a prompt every sixteenth.
      let pages =
        sizes.fillsPages == false
        ? 0 : (sizes[inputs[0].rows] + KVLayout.pageTokens - 1) / KVLayout.pageTokens
      work.bytesRead = inputs[0].bytes(sizes) + pages * layout.headCount * layout.keysBytes
      work.bytesWritten = pages * layout.boundsBytes
    case .scorePages(let attention, let layout):
      let scored = attention.scoredPages(sight)
      work.bytesRead = inputs[0].bytes(sizes) + scored * layout.boundsBytes
      work.bytesWritten = scored * layout.headCount * 4
      work.flops = 2 * attention.headCount * attention.headWidth * scored
    case .choosePages(let attention):
      work.bytesRead = attention.scoredPages(sight) * attention.kvHeadCount * 4
    case .attend(let attention, let layout):
      work.bytesRead =
        (inputs.prefix(1) + inputs.dropFirst(6)).reduce(0) { $0 + $1.bytes(sizes) }
        + sight.tokens * layout.tokenBytes
      work.flops = 4 * attention.headCount * attention.headWidth * sight.pairs
    case .weighRows(let attention, let layout), .sumColumns(let attention, let layout):
      // Rows that are observed, at most, and one pass over the keys.
      let observed = min(sizes[inputs[0].rows], sizes[inputs[6].rows])
      let pairs = min(sight.pairs, observed * sight.tokens)
      work.bytesRead =
        observed * inputs[0].format.rowBytes(inputs[0].width)
        + inputs.dropFirst(6).reduce(0) { $0 + $1.bytes(sizes) }
        + sight.tokens * layout.headCount * layout.keysBytes / KVLayout.pageTokens
      work.flops = 2 * attention.headCount * attention.headWidth * pairs
    case .chooseTokens(let choice):
      work.bytesRead = inputs[0].bytes(sizes)
      work.flops = choice.kvHeadCount * inputs[0].width
    case .placeTokens:
      work.bytesRead = inputs[1].bytes(sizes)
    case .gatherTokens(let layout):
      // All tokens that the rows see, at most.
      let tokens = min(sizes.depth ?? .max, sizes[output.rows] * KVLayout.pageTokens)
      work.bytesRead = tokens * (layout.tokenBytes + 4)
      work.bytesWritten = tokens * layout.tokenBytes
    case .fused:
      preconditionFailure("a fused operation costs what the parts of its instruction cost")
    }
    return work
  }
}

extension Attention {
  /// Pages that are scored for a row: those that it sees but for the last, and none where it reads all.
  fileprivate func scoredPages(_ sight: Sight) -> Int {
    let seen = KVLayout.pages(sight.tokens)
    return seen > (pages?.count ?? 0) ? seen - 1 : 0
  }
}

extension Instruction {
  /// What it costs. What passes between the parts of a fused operation goes through no memory.
  package func work(sizes: SymbolSizes, sight: Sight = Sight()) -> Work {
    guard !expansion.isEmpty else {
      return operation.work(inputs: inputs, output: output, sizes: sizes, sight: sight)
    }
    let parts = parts
    let between = Set(parts.map(\.output)).subtracting(inputs + [output])
    var total = Work()
    for part in parts {
      let work = part.work(sizes: sizes, sight: sight)
      let read = part.inputs.filter(between.contains).reduce(0) { $0 + $1.bytes(sizes) }
      total.bytesRead += work.bytesRead - read
      if !between.contains(part.output) { total.bytesWritten += work.bytesWritten }
      total.flops += work.flops
      total.isInteger = total.isInteger || work.isInteger
    }
    return total
  }
}

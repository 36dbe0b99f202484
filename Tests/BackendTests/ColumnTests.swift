import Devices
import ModelGraph
import OpSuite
import ReferenceBackend
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What rows attend to each token, on the reference, against the whole matrix of weights in double precision.
@Suite struct ColumnTests {
  private static let (heads, kvHeads, width, rows) = (6, 2, 20, 40)

  private struct Numbers {
    var state: UInt32
    mutating func next(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return (Float(state >> 8) / Float(1 << 24) - 0.5) * 4
      }
    }
  }

  private final class Memory {
    let device = ReferenceDevice()
    private var next = 0

    func place<T: BitwiseCopyable>(
      _ values: [T], rows: Int, _ format: Format, width: Int? = nil
    ) throws -> Operand {
      let region = Region(buffer: BufferID(index: next))
      next += 1
      let bytes = values.withUnsafeBytes { Array($0) }
      try device.allocate(region.buffer, bytes: bytes.count, label: "test")
      try bytes.withUnsafeBytes { try device.write($0, to: region) }
      return Operand(
        region: region, rows: .fixed(rows), width: width ?? values.count / rows, format: format)
    }

    func integers(_ values: [Int]) throws -> Operand {
      try place(values.map { Int32($0) }, rows: values.count, .i32)
    }

    func run(_ operation: Operation, _ inputs: [Operand], into output: Operand) throws {
      try device.run(
        [Instruction(operation, inputs: inputs, output: output, label: "test")],
        sizes: SymbolSizes(rows: ColumnTests.rows, outputs: 1))
    }

    func floats(_ operand: Operand, _ count: Int) throws -> [Float] {
      var result = [Float](repeating: 0, count: count)
      try result.withUnsafeMutableBytes { try device.read(operand.region, into: $0) }
      return result
    }
  }

  /// All rows of a causal step, the last ones, and some in a layer with a window: sums over columns of the softmax.
  @Test(arguments: [(Array(0..<40), nil), (Array(30..<40), nil), ([5, -1, 39, 7], 9 as Int?)])
  func columnsAreThoseOfTheSoftmax(observed: [Int], window: Int?) throws {
    var numbers = Numbers(state: 7)
    let memory = Memory()
    let tokens = 560
    let layout = KVLayout(headCount: Self.kvHeads, headWidth: Self.width, element: .f32)
    let attention = Attention(
      headCount: Self.heads, kvHeadCount: Self.kvHeads, headWidth: Self.width, scale: 0.4)
    let pages = KVLayout.pages(tokens)
    let table = (0..<pages).map { ($0 * 11 + 3) % pages }
    let pool = try memory.place(
      [UInt8](repeating: 0, count: pages * layout.pageBytes), rows: pages, .pages(layout), width: 1)
    let keys = numbers.next(tokens * Self.kvHeads * Self.width)
    let slots = (0..<tokens).map { table[$0 / 16] * 16 + $0 % 16 }
    let k = try memory.place(keys, rows: tokens, .f32)
    try memory.run(.writeKV(layout), [k, k, try memory.integers(slots)], into: pool)

    let query = numbers.next(Self.rows * Self.heads * Self.width)
    let end = (0..<Self.rows).map { tokens - Self.rows + $0 + 1 }
    let begin = end.map { end in window.map { max(0, end - $0) } ?? 0 }
    var inputs = [
      try memory.place(query, rows: Self.rows, .f32), pool, try memory.integers(begin),
      try memory.integers(end), try memory.integers([Int](repeating: 0, count: Self.rows)),
      try memory.integers(table), try memory.integers(observed),
    ]
    let weights = try memory.place(
      [Float](repeating: -1, count: observed.count * Self.heads * 2), rows: observed.count, .f32)
    try memory.run(.weighRows(attention, layout), inputs, into: weights)
    inputs.append(weights)
    let columns = try memory.place(
      [Float](repeating: -1, count: Self.kvHeads * pages * 16), rows: Self.kvHeads, .f32)
    try memory.run(.sumColumns(attention, layout), inputs, into: columns)
    let sums = try memory.floats(columns, Self.kvHeads * pages * 16)

    var exact = [Double](repeating: 0, count: Self.kvHeads * pages * 16)
    for row in observed where row >= 0 {
      for head in 0..<Self.heads {
        let kvHead = head / 3
        let seen = begin[row]..<end[row]
        let scores = seen.map { token in
          (0..<Self.width).reduce(0.0) { sum, d in
            sum + Double(query[(row * Self.heads + head) * Self.width + d]) * 0.4
              * Double(keys[(token * Self.kvHeads + kvHead) * Self.width + d])
          }
        }
        let total = scores.reduce(0) { $0 + exp($1) }
        for (token, score) in zip(seen, scores) {
          exact[kvHead * pages * 16 + token] += exp(score) / total
        }
      }
    }
    for (sum, exact) in zip(sums, exact) {
      #expect(abs(Double(sum) - exact) < 1e-5 * max(1, exact))
    }
    // Each observed row gives each of its heads a mass of one.
    let rows = observed.filter { $0 >= 0 }.count
    #expect(abs(Double(sums.reduce(0, +)) - Double(rows * Self.heads)) < 1e-3)
  }
}

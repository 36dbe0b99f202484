import CPUBackend
import Devices
import ModelGraph
import OpenCLBackend
import ReferenceBackend
import Tensors
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Keys and values in fewer bits than computed with: the rule for codes, odd cases on every device, and attention over them.
@Suite struct QuantizedPagesTests {
  private static let rounded: [KVLayout.Element] = [.bf16, .q8, .q4, .k4v2, .k2v2]

  private struct Numbers {
    var state: UInt32
    mutating func next(_ count: Int) -> [Float] {
      (0..<count).map { _ in
        state = state &* 1_664_525 &+ 1_013_904_223
        return (Float(state >> 8) / Float(1 << 24) - 0.5) * 6
      }
    }
  }

  /// The CPU at each level, and OpenCL without the drivers that take minutes to build a kernel.
  private func devices() throws -> [any Device] {
    let found = OpenCLDevices.list().devices.filter {
      $0.platform != "Oclgrind" && $0.platform != "rusticl"
    }
    return InstructionSet.available.map { CPUDevice(threads: 1, instructions: $0) }
      + [CPUDevice(threads: 3)] + (try found.map { try OpenCLDevice(index: $0.index) })
  }

  /// The number farthest from zero is the lowest code; others are within half a step, but for those that the
  /// highest code just misses.
  @Test(arguments: [8, 4]) func codesAreNear(bits: Int) {
    var numbers = Numbers(state: UInt32(bits))
    let limit = 1 << (bits - 1)
    for round in 0..<200 {
      let spread = Float(1 << (round % 20)) * 1e-3
      let block = numbers.next(32).map { $0 * spread * (round % 3 == 0 ? -1 : 1) }
      let coded = KVBlock(block, bits: bits)
      let step = abs(Float(coded.scale))
      let far = block.indices.max { abs(block[$0]) < abs(block[$1]) } ?? 0
      #expect(coded.codes[far] == -limit)
      for (number, code) in zip(block, coded.codes) {
        #expect((-limit..<limit).contains(code))
        let error = abs(number - Float(coded.scale) * Float(code))
        #expect(error <= step * (code == limit - 1 ? 1.01 : 0.51))
      }
    }
  }

  /// Each number has the nearest of the four, and no scale nearby would suit normal numbers much better.
  @Test func twoBitsAreFitted() {
    var numbers = Numbers(state: 2)
    var (ours, least, all) = (0.0, 0.0, 0.0)
    for round in 0..<200 {
      // Sums of four are nearly normal.
      let block = (0..<32).map { _ in numbers.next(4).reduce(0, +) * Float(1 << (round % 20)) * 1e-3
      }
      let coded = KVBlock(block, bits: 2)
      let scale = Float(coded.scale)
      #expect(scale > 0)
      func error(_ scale: Float) -> Double {
        block.reduce(0.0) { sum, number in
          let size = abs(number)
          let error = Double(size - (size >= 2 * scale ? 3 : 1) * scale)
          return sum + error * error
        }
      }
      for (number, code) in zip(block, coded.codes) {
        #expect(code == (number < 0 ? -1 : 1) * (abs(number) >= 2 * scale ? 3 : 1))
      }
      let norm = block.reduce(0.0) { $0 + Double($1) * Double($1) }
      ours += error(scale) / norm
      least += ((0...200).map { error(scale * (0.5 + Float($0) / 200)) }.min() ?? 0) / norm
      all += 1
    }
    #expect(least / ours > 0.97, "\(least / all) of \(ours / all)")
    #expect(ours / all < 0.115)
  }

  /// Whoever reads keys only reads their part of a page.
  @Test(arguments: [(KVLayout.Element.f16, 32), (.i16, 33), (.q4, 9), (.k4v2, 9), (.k2v2, 6)])
  func keysAreCountedAlone(element: KVLayout.Element, bytes: Int) {
    let layout = KVLayout(headCount: 3, headWidth: 64, element: element)
    let buffer = Region(buffer: BufferID(index: 0))
    let slots = Operand(region: buffer, rows: .symbol(.rows), width: 1, format: .i32)
    let pool = Operand(region: buffer, rows: .fixed(4), width: 1, format: .pages(layout))
    let bounds = Operand(region: buffer, rows: .fixed(4), width: 1, format: .pageBounds(layout))
    let instruction = Instruction(
      .boundPages(layout), inputs: [slots, pool], output: bounds, label: "bounds")
    let work = instruction.work(sizes: SymbolSizes(rows: 16, outputs: 0))
    #expect(work.bytesRead == 16 * 4 + 3 * 64 * bytes)
  }

  /// Zeros, what is too small or too large for a scale, what is no number, equals of both signs.
  private static let odd: [[Float]] = [
    [Float](repeating: 0, count: 32), [Float](repeating: -0.0, count: 32),
    (0..<32).map { Float($0) * 1e-9 }, (0..<32).map { Float($0 - 9) * 1e-7 },
    (0..<32).map { Float($0 - 20) * 1e30 }, (0..<32).map { $0 == 3 ? .infinity : Float($0) },
    (0..<32).map { $0 == 30 ? -.infinity : Float($0) },
    (0..<32).map { $0 % 5 == 0 ? .nan : Float($0) },
    (0..<32).map { $0 % 2 == 0 ? 1 : -1 }, (0..<32).map { $0 % 2 == 0 ? -2.5 : 2.5 },
    (0..<32).map { Float($0) - 15.5 }, [Float](repeating: .nan, count: 32),
    (0..<32).map { Float($0 * $0) * 9000 },
    // The base of these is as far from the one end as from the other.
    (0..<32).map { 104 + Float($0 % 17) }, (0..<32).map { -104 - Float($0 % 17) },
  ]

  @Test func oddBlocksHaveFiniteCodes() {
    for bits in [8, 4, 2] {
      for block in Self.odd {
        let coded = KVBlock(block, bits: bits)
        #expect(coded.scale.isFinite)
        for (number, code) in zip(block, coded.codes) where number.isNaN && bits > 2 {
          #expect(code == 0)
        }
      }
      #expect(KVBlock(Self.odd[0], bits: bits).scale.bitPattern == 0)
    }
  }

  private func bytes<T: BitwiseCopyable>(_ values: [T]) -> [UInt8] {
    values.withUnsafeBytes { Array($0) }
  }

  private func run(
    _ operation: Operation, _ inputs: [([UInt8], rows: Int, width: Int, Format)],
    output: (bytes: [UInt8], rows: Int, width: Int, Format), rows: Int, on device: any Device
  ) throws -> [UInt8] {
    var next = 0
    defer { for index in 0..<next { device.release(BufferID(index: index)) } }
    func place(_ bytes: [UInt8]) throws -> Region {
      let region = Region(buffer: BufferID(index: next))
      try device.allocate(region.buffer, bytes: bytes.count, label: "test")
      next += 1
      try bytes.withUnsafeBytes { try device.write($0, to: region) }
      return region
    }
    var instruction = Instruction(
      operation,
      inputs: try inputs.map {
        Operand(region: try place($0.0), rows: .fixed($0.rows), width: $0.width, format: $0.3)
      },
      output: Operand(
        region: try place(output.bytes), rows: .fixed(output.rows), width: output.width,
        format: output.3), label: "test")
    let sizes = SymbolSizes(rows: rows, outputs: rows)
    let scratch = device.workspaceBytes(instruction, bounds: sizes)
    if scratch > 0 { instruction.workspace = try place([UInt8](repeating: 0xFF, count: scratch)) }
    try device.run([instruction], sizes: sizes)
    var result = [UInt8](repeating: 0, count: output.bytes.count)
    try result.withUnsafeMutableBytes { try device.read(instruction.output.region, into: $0) }
    return result
  }

  @Test(arguments: rounded.filter { !$0.keysByElement } + [.i16])
  func oddBlocksAreTheSameOnEveryDevice(element: KVLayout.Element)
    throws
  {
    let layout = KVLayout(headCount: 1, headWidth: 32, element: element)
    let rows = Self.odd.count
    func written(on device: any Device) throws -> [UInt8] {
      let keys = bytes(Self.odd.flatMap { $0 })
      return try run(
        .writeKV(layout),
        [
          (keys, rows, 32, .f32), (keys, rows, 32, .f32),
          (bytes((0..<rows).map { Int32($0) }), rows, 1, .i32),
        ],
        output: ([UInt8](repeating: 0x5A, count: layout.pageBytes), 1, 1, .pages(layout)),
        rows: rows, on: device)
    }
    let wanted = try written(on: ReferenceDevice())
    for device in try devices() {
      #expect(try written(on: device) == wanted, "\(device.traits.name)")
    }
  }

  /// Keys of one page, element by element, from halves that are odd: the page as it grows token by token, and all at once.
  @Test func oddKeysAreTheSameOnEveryDevice() throws {
    let layout = KVLayout(headCount: 1, headWidth: 32, element: .k2v2)
    let latest = layout.latest
    let odd = Self.odd + Self.odd.prefix(3)
    var halves = [UInt8](repeating: 0, count: latest.pageBytes)
    halves.withUnsafeMutableBytes {
      // Blocks lie along tokens, so that one element has a block's numbers.
      let keys = (0..<16).map { token in (0..<32).map { odd[$0 % 16][token] } }
      latest.store(keys: keys, values: odd, $0, page: 0, head: 0, pages: 1)
    }
    func copied(_ tokens: ClosedRange<Int>, on device: any Device) throws -> [UInt8] {
      let places = bytes(tokens.map { Int32($0) })
      return try run(
        .copyKV(layout),
        [
          (places, tokens.count, 1, .i32), (places, tokens.count, 1, .i32),
          (halves, 1, 1, .pages(latest)),
        ],
        output: ([UInt8](repeating: 0x5A, count: layout.pageBytes), 1, 1, .pages(layout)),
        rows: tokens.count, on: device)
    }
    let reference = ReferenceDevice()
    for token in 0..<16 {
      let wanted = try copied(0...token, on: reference)
      let numbers = wanted.withUnsafeBytes { raw in
        (0...token).flatMap { slot in
          (0..<32).flatMap {
            [
              layout.key(raw, slot: slot, head: 0, $0, pages: 1),
              layout.value(raw, slot: slot, head: 0, $0, pages: 1),
            ]
          }
        }
      }
      #expect(numbers.allSatisfy { abs($0) <= 65_504 })
      // Keys depend on the tokens that are there, not on the step that brought them.
      let keys = try copied(token...token, on: reference).prefix(layout.keysBytes)
      #expect(keys == wanted.prefix(layout.keysBytes))
      for device in try devices() {
        #expect(try copied(0...token, on: device) == wanted, "\(device.traits.name), \(token)")
      }
    }
  }

  /// Numbers are within half a step of what their code stands for, but for those beyond where the range begins: that is
  /// rounded by an eighth of it at most.
  @Test func rangesAreNear() {
    var numbers = Numbers(state: 7)
    for round in 0..<200 {
      let (spread, base) = (Float(1 << (round % 20)) * 1e-3, Float(round % 7) * 10)
      let block = numbers.next(16).map { ($0 + base) * spread }
      let range = KVRange(block)
      let (first, step) = (range.base.number, range.step.number)
      for (number, code) in zip(block, range.codes) {
        #expect((0...3).contains(code))
        let error = abs(number - (first + step * Float(code)))
        let nearest = min(abs(block.min() ?? 0), abs(block.max() ?? 0))
        #expect(error <= max(0.51 * abs(step), nearest * 0.126) + 4e-5)
      }
    }
    // Biases that are large beside what differs: the step reaches the numbers from where the range begins.
    for sign in [1, -1] as [Float] {
      let biased = (0..<16).map { sign * (100 + Float($0) / 15) }
      let range = KVRange(biased)
      for (number, code) in zip(biased, range.codes) {
        #expect(abs(number - (range.base.number + range.step.number * Float(code))) < 1)
      }
    }
    // Ranges begin at the end nearer to zero, where a byte is finer, and codes rise towards the other.
    let (below, above) = (KVRange([-7, -5, -1]), KVRange([1, 5, 7]))
    #expect((below.base.number, below.step.number) == (-1, -2))
    #expect((above.base.number, above.step.number) == (1, 2))
    #expect(below.codes == [3, 2, 0] && above.codes == [0, 2, 3])
    #expect(KVRange([Float](repeating: .nan, count: 16)).codes == [Int](repeating: 0, count: 16))
    for bits in UInt8.min...UInt8.max where bits & 0x7F != 0 {
      #expect(KVRange.Byte(KVRange.Byte(bits: bits).number).bits == bits)
    }
  }

  /// Attention over such pages is attention over pages of single precision that hold what they stand for, to the last
  /// bit: a code times its scale is exact, and so is bf16.
  @Test(arguments: rounded, [1, 3, 20])
  func pagesAreTheNumbersThatTheyStandFor(element: KVLayout.Element, rows: Int) throws {
    var numbers = Numbers(state: UInt32(rows))
    let (heads, kvHeads, width, tokens) = (6, 2, 64, 1100)
    let pages = KVLayout.pages(tokens)
    let layout = KVLayout(headCount: kvHeads, headWidth: width, element: element)
    let single = KVLayout(headCount: kvHeads, headWidth: width, element: .f32)
    var codes = [UInt8](repeating: 0, count: pages * layout.pageBytes)
    var floats = [UInt8](repeating: 0, count: pages * single.pageBytes)
    for page in 0..<pages {
      for head in 0..<kvHeads {
        let (keys, values) = (
          (0..<KVLayout.pageTokens).map { _ in numbers.next(width) },
          (0..<KVLayout.pageTokens).map { _ in numbers.next(width) }
        )
        codes.withUnsafeMutableBytes {
          layout.store(keys: keys, values: values, $0, page: page, head: head, pages: pages)
        }
      }
    }
    for slot in 0..<pages * KVLayout.pageTokens {
      for head in 0..<kvHeads {
        let kept = codes.withUnsafeBytes { raw in
          (0..<width).map {
            (
              layout.key(raw, slot: slot, head: head, $0, pages: pages),
              layout.value(raw, slot: slot, head: head, $0, pages: pages)
            )
          }
        }
        floats.withUnsafeMutableBytes {
          single.store(
            key: kept.map(\.0), value: kept.map(\.1), $0, slot: slot, head: head, pages: pages)
        }
      }
    }
    let queries = bytes(numbers.next(rows * heads * width))
    let attention = Attention(
      headCount: heads, kvHeadCount: kvHeads, headWidth: width, scale: 0.3)
    func attended(_ layout: KVLayout, _ pool: [UInt8], on device: any Device) throws -> [UInt8] {
      try run(
        .attend(attention, layout),
        [
          (queries, rows, heads * width, .f32), (pool, pages, 1, .pages(layout)),
          (bytes((0..<rows).map { Int32($0 * 7) }), rows, 1, .i32),
          (bytes((0..<rows).map { Int32(tokens - rows + 1 + $0) }), rows, 1, .i32),
          (bytes([Int32](repeating: 0, count: rows)), rows, 1, .i32),
          (bytes((0..<pages).map { Int32($0 * 5 % pages) }), pages, 1, .i32),
        ],
        output: (
          [UInt8](repeating: 0xFF, count: rows * heads * width * 4), rows, heads * width, .f32
        ), rows: rows, on: device)
    }
    let wanted = try attended(single, floats, on: ReferenceDevice())
    for device in [ReferenceDevice()] + (try devices()) {
      #expect(try attended(layout, codes, on: device) == wanted, "\(device.traits.name)")
      #expect(try attended(single, floats, on: device) == wanted, "\(device.traits.name)")
    }
  }

  /// Attention over whole numbers is that over the floats they come from, and no farther from it than with halves. Some
  /// elements are far larger than others, as keys with biases have them.
  @Test(arguments: [1, 20]) func wholeNumbersAreAsGoodAsHalves(rows: Int) throws {
    var numbers = Numbers(state: UInt32(rows))
    let (heads, width, tokens) = (3, 64, 300)
    let pages = KVLayout.pages(tokens)
    let keys = (0..<tokens).map { _ in
      numbers.next(width).enumerated().map { $1 * ($0 % 31 == 7 ? 20 : 1) }
    }
    let values = (0..<tokens).map { _ in numbers.next(width) }
    let queries = numbers.next(rows * heads * width)
    let attention = Attention(headCount: heads, kvHeadCount: 1, headWidth: width, scale: 0.05)
    func attended(_ element: KVLayout.Element) throws -> [Float] {
      let layout = KVLayout(headCount: 1, headWidth: width, element: element)
      var pool = [UInt8](repeating: 0, count: pages * layout.pageBytes)
      for slot in 0..<tokens {
        pool.withUnsafeMutableBytes {
          layout.store(
            key: keys[slot], value: values[slot], $0, slot: slot, head: 0, pages: pages)
        }
      }
      let answer = try run(
        .attend(attention, layout),
        [
          (bytes(queries), rows, heads * width, .f32), (pool, pages, 1, .pages(layout)),
          (bytes([Int32](repeating: 0, count: rows)), rows, 1, .i32),
          (bytes((0..<rows).map { Int32(tokens - rows + 1 + $0) }), rows, 1, .i32),
          (bytes([Int32](repeating: 0, count: rows)), rows, 1, .i32),
          (bytes((0..<pages).map { Int32($0) }), pages, 1, .i32),
        ],
        output: (
          [UInt8](repeating: 0xFF, count: rows * heads * width * 4), rows, heads * width, .f32
        ), rows: rows, on: ReferenceDevice())
      return answer.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
    var wanted: [Double] = []
    for row in 0..<rows {
      for head in 0..<heads {
        let first = (row * heads + head) * width
        let scores = (0..<tokens - rows + 1 + row).map { token in
          var sum = 0.0
          for d in 0..<width { sum += Double(queries[first + d]) * Double(keys[token][d]) }
          return sum * 0.05
        }
        let peak = scores.max() ?? 0
        let weights: [Double] = scores.map { exp($0 - peak) }
        let total = weights.reduce(0, +)
        for d in 0..<width {
          var sum = 0.0
          for (token, weight) in weights.enumerated() { sum += weight * Double(values[token][d]) }
          wanted.append(sum / total)
        }
      }
    }
    func error(_ element: KVLayout.Element) throws -> Double {
      var (errors, squares) = (0.0, 0.0)
      for (number, exact) in zip(try attended(element), wanted) {
        errors += (exact - Double(number)) * (exact - Double(number))
        squares += exact * exact
      }
      return (errors / squares).squareRoot()
    }
    let (ours, halves) = (try error(.i16), try error(.f16))
    #expect(ours < 1e-3 && ours < halves, "\(ours), with halves \(halves)")
  }

  /// A rotation is its matrix, keeps products, and undoes itself.
  @Test(arguments: [1, 8, 32, 48, 64, 80, 128])
  func rotationIsAHadamardMatrix(width: Int) throws {
    var numbers = Numbers(state: UInt32(width))
    let rotation = HeadRotation(headCount: 2, headWidth: width)
    func rotated(_ x: [Float]) throws -> [Float] {
      try run(
        .rotateHeads(rotation), [(bytes(x), 1, 2 * width, .f32)],
        output: (bytes(x), 1, 2 * width, .f32), rows: 1, on: ReferenceDevice()
      ).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }
    let (x, y) = (numbers.next(2 * width), numbers.next(2 * width))
    let (hx, hy) = (try rotated(x), try rotated(y))
    let block = rotation.blockWidth
    for i in x.indices {
      let sum = (0..<block).reduce(0.0) { sum, j in
        let sign = (i % block & j).nonzeroBitCount % 2 == 0 ? 1.0 : -1.0
        return sum + sign * Double(x[i / block * block + j])
      }
      #expect(abs(Double(hx[i]) - sum / Double(block).squareRoot()) < 1e-5)
    }
    for (again, number) in zip(try rotated(hx), x) { #expect(abs(again - number) < 1e-5) }
    let product = zip(x, y).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    let turned = zip(hx, hy).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    #expect(abs(product - turned) < 1e-4)
  }
}

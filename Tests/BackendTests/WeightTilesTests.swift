import CPUBackend
import Devices
import ModelGraph
import OpSuite
import Tensors
import Testing
import WeightTiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Tiles against the codecs: what WeightTiles.h draws, read in the clearest way.
@Suite struct WeightTilesTests {
  private static let types = ElementType.allCases.filter(\.isQuantized)

  @Test(arguments: types)
  func holdTheBlocksOfTheFile(type: ElementType) throws {
    let format = try #require(type.format)
    for (rows, blocks) in [(1, 1), (16, 3), (35, 2)] {
      let width = blocks * type.blockLength
      var random = SystemRandomNumberGenerator()
      let weights = type.randomBytes(rows * width, peak: 1) { random.next() }
      let written = tiles(type, weights, rows: rows, width: width)
      let reader = TileReader(type: type, tiles: written, width: width)
      #expect(written.count == (rows + 15) / 16 * blocks * reader.stripBytes)
      for row in 0..<(rows + 15) / 16 * 16 {
        for block in 0..<blocks {
          var parts = BlockParts()
          if row < rows {
            weights.withUnsafeBytes { bytes in
              guard let base = bytes.baseAddress else { return }
              format.unpack(base + (row * blocks + block) * type.blockBytes, into: &parts)
            }
          }
          #expect(reader.agrees(with: row < rows ? parts : nil, row: row, block: block))
        }
      }
    }
  }

  @Test(arguments: types)
  func areTheSameWithAnyNumberOfThreads(type: ElementType) {
    // Enough for several to get a share, and no multiple of 16.
    let (rows, width) = (1001, 2048)
    var random = SystemRandomNumberGenerator()
    let weights = type.randomBytes(rows * width, peak: 1) { random.next() }
    let one = tiles(type, weights, rows: rows, width: width)
    for threads: Int32 in [2, 3, 64] {
      #expect(tiles(type, weights, rows: rows, width: width, threads: threads) == one)
    }
  }

  /// SmolLM2 has 98 MB and shall be brought in within 0.3 s; what other processes take does not count.
  @Test func areWrittenInTime() {
    let (rows, width) = (16384, 1536)
    let blocks = rows * width / 32
    let weights = [UInt8](repeating: 0x2D, count: blocks * ElementType.q4_1.blockBytes)
    let best = (0..<3).map { _ in
      let start = clock()
      _ = tiles(.q4_1, weights, rows: rows, width: width)
      return Double(clock() - start) / Double(CLOCKS_PER_SEC)
    }.min()
    #expect((best ?? .infinity) < 0.3 * Double(weights.count) / 98e6)
  }

  /// What the CPU multiplies it brings into tiles; floats, and tables of which it only looks rows up, stay
  /// where the file is mapped.
  @Test func theCPUMapsWhatItDoesNotTurn() throws {
    let quantized = try #require(Weight(name: "q", type: .q4_1, rows: 64, width: 64))
    let floats = try #require(Weight(name: "f", type: .f32, rows: 64, width: 64))
    let cpu = CPUDevice(threads: 1)
    func isMapped(_ weight: Weight, _ ops: Op...) -> Bool {
      cpu.readsMapped(weight, by: ops.map { .pure($0) })
    }
    let lookUp = Op.embedRows(EmbedRows(table: quantized))
    let multiply = Op.linear(Linear(weight: quantized, activations: .int8))
    #expect(isMapped(quantized, lookUp))
    #expect(!isMapped(quantized, multiply))
    #expect(!isMapped(quantized, lookUp, multiply))
    #expect(isMapped(floats, .linear(Linear(weight: floats, activations: .f32))))
    #expect(cpu.residentBytes(quantized) == 64 * 64 / 32 * 20 && cpu.residentBytes(floats) == 16384)
  }
}

/// Finds the numbers of one row's block.
private struct TileReader {
  let type: ElementType
  let tiles: [UInt8]
  let width: Int

  private var structure: BlockStructure {
    guard let format = type.format else { preconditionFailure("only quantised types have tiles") }
    return format.structure
  }
  private var lowBits: Int { structure.codeBits >= 8 ? 8 : structure.codeBits >= 4 ? 4 : 2 }
  private var highBits: Int { structure.codeBits - lowBits }
  private var hasGroupMinima: Bool { structure.groupMinima.map { $0 != 1...1 } ?? false }

  private var scaleBytes: Int { structure.hasPowerScale ? 1 : 2 }
  private var headBytes: Int {
    16
      * (scaleBytes + (structure.groupMinima == nil ? 0 : 2)
        + structure.groupCount
        * ((structure.groupScales == nil ? 0 : 1) + (hasGroupMinima ? 1 : 0)))
  }
  private var planeBytes: Int { 64 * structure.codeBits }
  var stripBytes: Int { headBytes + structure.length / 32 * planeBytes }

  private func half(_ offset: Int) -> Float {
    Float(Float16(bitPattern: UInt16(tiles[offset]) | UInt16(tiles[offset + 1]) << 8))
  }

  /// Bits of a code of 32 in a plane.
  private func bits(_ count: Int, _ element: Int, lane: Int, plane: Int) -> UInt8 {
    let (field, vector) = (element / 4 / count, element / 4 % count)
    let byte = tiles[plane + 64 * vector + 4 * lane + element % 4]
    return byte >> UInt8(field * count) & UInt8(1 << count - 1)
  }

  /// Whether a block holds these parts; nil stands for zeros throughout.
  func agrees(with parts: BlockParts?, row: Int, block: Int) -> Bool {
    let lane = row % 16
    var at = (row / 16 * (width / structure.length) + block) * stripBytes
    let isPower = structure.hasPowerScale
    let scale = isPower ? Float(tiles[at + lane]) : half(at + 2 * lane)
    let wanted = parts.map { isPower ? Float($0.scale.exponent + 128) : $0.scale } ?? 0
    guard scale == wanted else { return false }
    at += 16 * scaleBytes
    if structure.groupMinima != nil {
      guard half(at + 2 * lane) == parts?.minimum ?? 0 else { return false }
      at += 32
    }
    if structure.groupScales != nil {
      for g in 0..<structure.groupCount {
        let byte = Int8(bitPattern: tiles[at + 64 * (g / 4) + 4 * lane + g % 4])
        guard byte == parts?.scales[g] ?? 0 else { return false }
      }
      at += 16 * structure.groupCount
    }
    if hasGroupMinima {
      for g in 0..<structure.groupCount {
        guard tiles[at + 64 * (g / 4) + 4 * lane + g % 4] == parts?.minima[g] ?? 0
        else { return false }
      }
      at += 16 * structure.groupCount
    }
    return (0..<structure.length).allSatisfy { j in
      let plane = at + j / 32 * planeBytes
      var code = bits(lowBits, j % 32, lane: lane, plane: plane)
      if highBits > 0 {
        code |= bits(highBits, j % 32, lane: lane, plane: plane + 64 * lowBits) << UInt8(lowBits)
      }
      return code == parts?.codes[j] ?? 0
    }
  }
}

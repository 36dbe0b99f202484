import CPUBackend
import Devices
import ModelGraph
import Testing

/// Lists that come again on the CPU.
@Suite struct PreparedCallTests {
  private let device = CPUDevice(threads: 1)

  private func id(_ index: Int) -> BufferID { BufferID(index: index) }

  private func operand(_ index: Int) -> Operand {
    Operand(region: Region(buffer: id(index)), rows: .symbol(.rows), width: 3, format: .f32)
  }

  private func put(_ values: [Float], _ index: Int) throws {
    try values.withUnsafeBytes { try device.write($0, to: operand(index).region) }
  }

  private func make(_ index: Int, _ values: [Float]) throws {
    try device.allocate(id(index), bytes: 24, label: "operand \(index)")
    try put(values, index)
  }

  private func result(_ index: Int) throws -> [Float] {
    var result = [Float](repeating: 0, count: 6)
    try result.withUnsafeMutableBytes { try device.read(operand(index).region, into: $0) }
    return result
  }

  private func sum(to index: Int) -> Instruction {
    Instruction(
      .pure(.add), inputs: [operand(0), operand(1)], output: operand(index), label: "sum")
  }

  /// What changes between two runs of a list: numbers, rows, memory, a recording, other lists.
  @Test func aListThatComesAgainDoesWhatItSays() throws {
    try make(0, [1, 2, 3, 4, 5, 6])
    try make(1, [10, 20, 30, 40, 50, 60])
    try make(2, [0, 0, 0, 0, 0, 0])
    let list = [sum(to: 2)]
    let (one, two) = (SymbolSizes(rows: 1, outputs: 0), SymbolSizes(rows: 2, outputs: 0))
    for _ in 0..<2 {
      try put([0, 0, 0, 0, 0, 0], 2)
      try device.run(list, sizes: one)
      #expect(try result(2) == [11, 22, 33, 0, 0, 0])
      try device.run(list, sizes: two)
      #expect(try result(2) == [11, 22, 33, 44, 55, 66])
    }
    try put([2, 2, 2, 2, 2, 2], 1)
    try device.run(list, sizes: two)
    #expect(try result(2) == [3, 4, 5, 6, 7, 8])
    device.startRecording()
    try device.run(list, sizes: one)
    #expect(device.launchCount == 1)
    device.stopRecording()
    // The output lies elsewhere: what was there belongs to somebody else.
    device.release(id(2))
    try make(3, [7, 7, 7, 7, 7, 7])
    try make(2, [0, 0, 0, 0, 0, 0])
    try device.run(list, sizes: two)
    #expect(try result(2) == [3, 4, 5, 6, 7, 8] && result(3) == [7, 7, 7, 7, 7, 7])
    // More lists than are kept.
    let lists = (0..<9).map { [sum(to: 2 + $0 % 2)] }
    for round in 0..<3 {
      for (number, list) in lists.enumerated() {
        try put([Float](repeating: Float(round * 9 + number), count: 6), 1)
        try device.run(list, sizes: two)
        #expect(try result(2 + number % 2)[0] == Float(round * 9 + number + 1))
      }
    }
  }
}

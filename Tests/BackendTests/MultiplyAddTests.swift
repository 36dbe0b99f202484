import Devices
import Foundation
import ModelGraph
import OpenCLBackend
import Tensors
import Testing

private let listing = OpenCLDevices.list()
private let absence: Comment = "no OpenCL device: \(listing.reason ?? "")"

/// a × b + c with one rounding, by an instruction or made of other operations.
@Suite(.serialized) struct MultiplyAddTests {
  /// Sums that lie near a tie, that cancel, of numbers far apart, small and large, against the host's fma.
  @Test(
    .enabled(if: !listing.devices.isEmpty, absence), arguments: listing.devices)
  func roundsOnce(_ description: OpenCLDevices.Description) throws {
    let device = try OpenCLDevice(index: description.index)
    var random = SystemRandomNumberGenerator()
    // Of the last, products are small though one of their factors is not.
    let ranges = [
      (-8...8, -8...8), (-45...(-35), -45...(-35)), (30...50, 30...50), (-3...0, -3...0),
      (64...66, -126...(-125)),
    ]
    for (ofRows, ofFactors) in ranges {
      let factors = [0] + (0..<59).map { _ in number(ofFactors, using: &random) }
      let rows = (0..<1000).map { index in
        let (a, b) = (number(ofRows, using: &random), factors[index % factors.count])
        return (a: a, c: addend(to: a * b, using: &random))
      }
      // One number after the other, and sixteen at once.
      for width in [2, 32] {
        let sums = try sums(rows, factors, width: width, on: device)
        var wrong: [String] = []
        for (index, row) in rows.enumerated() {
          for (column, b) in factors.enumerated() {
            let expected = Foundation.fma(row.a, b, row.c)
            let sum = sums[index * factors.count + column]
            if sum != expected {
              wrong.append("\(row.a) × \(b) + \(row.c) = \(expected), not \(sum)")
            }
          }
        }
        #expect(
          wrong.isEmpty,
          "\(wrong.count) of width \(width) on \(description.name): \(wrong.first ?? "")")
      }
    }
  }

  /// Few bits make ties; all of them make errors of every length.
  private func number(
    _ exponents: ClosedRange<Int>, using random: inout SystemRandomNumberGenerator
  ) -> Float {
    let bits = [4, 11, 12, 13, 23].randomElement(using: &random) ?? 23
    let fraction = Float(Int.random(in: 0..<(1 << bits), using: &random)) / Float(1 << bits)
    return Float(
      sign: .random(using: &random) ? .plus : .minus,
      exponent: .random(in: exponents, using: &random),
      significand: 1 + fraction)
  }

  /// What cancels a product but for its error, and what is up to 2⁵⁰ times smaller or larger.
  private func addend(
    to product: Float, using random: inout SystemRandomNumberGenerator
  ) -> Float {
    if product == 0 { return number(-8...8, using: &random) }
    if Bool.random(using: &random) {
      return [-product, -product.nextUp, product / 2, 0].randomElement(using: &random) ?? 0
    }
    let exponent = Int(product.exponent)
    return number(exponent - 50...exponent + 50, using: &random)
  }

  /// a × b + c for all rows and factors: layers that add 1 × c and then a × b, in a lane of sixteen where they have more
  /// than two inputs.
  private func sums(
    _ rows: [(a: Float, c: Float)], _ factors: [Float], width: Int, on device: OpenCLDevice
  ) throws -> [Float] {
    let weight = try #require(Weight(name: "w", type: .f32, rows: factors.count, width: width))
    let operands = [(width, rows.count), (factors.count, rows.count)].enumerated().map {
      Operand(
        region: Region(buffer: BufferID(index: $0)), rows: .symbol(.rows), width: $1.0, format: .f32
      )
    }
    let held = Region(buffer: BufferID(index: 2))
    try device.allocate(operands[0].region.buffer, bytes: rows.count * width * 4, label: "x")
    try device.allocate(
      operands[1].region.buffer, bytes: rows.count * factors.count * 4, label: "y")
    try device.allocate(held.buffer, bytes: device.residentBytes(weight), label: "w")
    defer { for index in 0..<3 { device.release(BufferID(index: index)) } }
    func spread(_ first: Float, _ second: Float) -> [Float] {
      var numbers = [Float](repeating: 0, count: width)
      (numbers[0], numbers[width / 2]) = (first, second)
      return numbers
    }
    let inputs = rows.flatMap { spread($0.c, $0.a) }
    let weights = factors.flatMap { spread(1, $0) }
    try inputs.withUnsafeBytes { try device.write($0, to: operands[0].region) }
    try weights.withUnsafeBytes { try device.load(weight, $0, to: held) }
    try device.run(
      [
        Instruction(
          .pure(.linear(Linear(weight: weight, activations: .f32))), inputs: [operands[0]],
          weights: [held], output: operands[1], label: "layer")
      ], sizes: SymbolSizes(rows: rows.count, outputs: 0))
    var sums = [Float](repeating: 0, count: rows.count * factors.count)
    try sums.withUnsafeMutableBytes { try device.read(operands[1].region, into: $0) }
    return sums
  }
}

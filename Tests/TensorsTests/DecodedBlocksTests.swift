import Tensors
import TestSupport
import Testing

/// Blocks of every format against what llama.cpp's Python tools decode them to
/// (`tools/golden/blocks.py`): the same bits, but for a minimum's last one, as those tools round
/// the product and the sum apart where formats add one.
@Suite struct DecodedBlocksTests {
  private struct Golden: Decodable {
    struct Blocks: Decodable {
      var bytes: String
      var values: String
    }
    var types: [String: Blocks]
  }

  @Test(arguments: ElementType.allCases.filter { $0 != .f32 && $0 != .f16 })
  func decodeToTheirNumbers(type: ElementType) throws {
    let golden = try #require(
      try Fixtures.decode(Golden.self, "blocks/blocks.json").types[type.name])
    let digits = Array(golden.bytes.utf8)
    let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
    }
    let expected = golden.values.split(separator: " ").compactMap {
      UInt32($0, radix: 16).map { Float(bitPattern: $0) }
    }
    #expect(bytes.count == type.rowBytes(expected.count))
    let values = bytes.withUnsafeBytes { type.decoded($0, count: expected.count) }
    let addsMinimum = type.format?.structure.groupMinima != nil
    for (value, number) in zip(values, expected) {
      if addsMinimum {
        #expect(abs(value - number) <= number.ulp)
      } else {
        #expect(value.bitPattern == number.bitPattern || value == 0 && number == 0)
      }
    }
  }
}

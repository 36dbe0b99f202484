import GGUF
import Tensors
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Weights lent piece by piece, from the mapping and from the file.
@Suite struct WeightReaderTests {
  private func lent(_ source: any WeightSource, _ rows: Range<Int>, _ weight: Weight) throws
    -> [UInt8]
  {
    var bytes: [UInt8] = []
    try source.lend(rows, of: weight) { bytes = Array($0) }
    return bytes
  }

  private func weights(_ file: GGUFFile) -> [Weight] {
    file.tensors.compactMap { file.weight(named: $0.name) }
  }

  @Test func aReaderLendsTheBytesOfTheMapping() throws {
    let disk = TinyModel().write()
    let file = try GGUFFile(path: disk.path)
    let weights = weights(file)
    let reader = file.reader(of: weights)
    #expect(weights.count == file.tensors.count && weights.contains { $0.rows > 32 })
    for weight in weights {
      let whole = Array(file.bytes(of: weight))
      #expect(try lent(reader, 0..<weight.rows, weight) == whole)
      #expect(try lent(file, 0..<weight.rows, weight) == whole)
      let tail = weight.rows / 2..<weight.rows
      #expect(
        try lent(reader, tail, weight) == Array(whole[(tail.lowerBound * weight.rowBytes)...]))
      // Memory that was given back is read again from the file.
      #expect(Array(file.bytes(of: weight)) == whole)
    }
  }

  @Test func aFileThatEndsWhileItIsReadIsASentence() throws {
    let disk = TinyModel().write()
    let file = try GGUFFile(path: disk.path)
    let weights = weights(file)
    let reader = file.reader(of: weights)
    let last = try #require(weights.last)
    #expect(truncate(disk.path, off_t(file.fileBytes - 4)) == 0)
    let error = #expect(throws: WeightError.self) { try lent(reader, 0..<last.rows, last) }
    #expect(error?.description.contains("the file ended at byte \(file.fileBytes - 4)") == true)
    #expect(reader.complaint()?.contains("after it was opened") == true)
  }

  @Test func aFileThatIsWrittenToIsNoticed() throws {
    let disk = TinyModel().write()
    let file = try GGUFFile(path: disk.path)
    #expect(file.complaint() == nil)
    #expect(truncate(disk.path, off_t(file.fileBytes + 1)) == 0)
    #expect(file.complaint()?.contains("--load copy") == true)
  }

  /// As long as before, and of another time.
  @Test func aFileThatIsRewrittenIsNoticedByItsReader() throws {
    let disk = TinyModel().write()
    let file = try GGUFFile(path: disk.path)
    let reader = file.reader(of: weights(file))
    #expect(reader.complaint() == nil)
    disk.rewrite(try Fixtures.bytes(disk.path))
    #expect(reader.complaint()?.contains("when it is whole") == true)
    #expect(file.complaint()?.contains("--load copy") == true)
  }

  @Test func aFileThatIsReplacedStaysTheOneThatWasOpened() throws {
    let disk = TinyModel().write()
    let file = try GGUFFile(path: disk.path)
    let weight = try #require(weights(file).last)
    let whole = Array(file.bytes(of: weight))
    let other = TemporaryFile([1, 2, 3])
    #expect(rename(other.path, disk.path) == 0)
    #expect(file.complaint() == nil && file.reader(of: [weight]).complaint() == nil)
    #expect(try lent(file.reader(of: [weight]), 0..<weight.rows, weight) == whole)
  }
}

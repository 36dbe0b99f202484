import Apus
import TestSupport
import Testing

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// `apus eval kl`, and the sums that it is made of.
@Suite(.serialized) struct DivergenceTests {
  private struct Report: Decodable {
    var kl: Double
    var kl_error: Double
    var kl_largest: Double
    var same_top: Double
    var nats_per_token: Double
    var base_nats_per_token: Double
    var tokens: Int
    var windows: Int
  }
  private struct Perplexity: Decodable { var nats_per_token: Double }

  private let text = TemporaryFile((0..<900).map { UInt8(ascii: "A") + UInt8($0 * $0 % 23) })

  private func decoded<T: Decodable>(_ words: String...) throws -> T {
    let answer = try CommandTests().run(words + ["-f", text.path, "-c", "40", "--json"])
    #expect(answer.status == 0, "\(answer.notes)")
    return try JSONDecoder().decode(T.self, from: Data(answer.output.utf8))
  }

  /// Written down as the definition has it, from probabilities.
  @Test func divergenceIsThatOfItsDefinition() {
    let base: [Float] = [0.5, -3, 2.25, 1, -80]
    let run: [Float] = [1.5, -2, 2, 1.75, 3]
    func probabilities(_ logits: [Float]) -> [Double] {
      let weights = logits.map { exp(Double($0)) }
      return weights.map { $0 / weights.reduce(0, +) }
    }
    let expected = zip(probabilities(base), probabilities(run)).map { $0 * log($0 / $1) }
      .reduce(0, +)
    var total = DivergenceSum()
    // A slice does not begin at 0.
    total.add(run: ([9] + run).dropFirst(), base: ([7, 7] + base).dropFirst(2), token: 1)
    #expect(abs(total.divergence.sum - expected) < 1e-12 && expected > 0.1)
    #expect(total.same.sum == 0 && total.same.count == 1)
    total.add(run: base[...], base: base[...], token: 2)
    #expect(abs(total.divergence.sum - expected) < 1e-12 && total.largest == total.divergence.sum)
    #expect(total.same.sum == 1 && total.divergence.count == 2)
  }

  @Test func runsAreComparedOnTheSameTokens() throws {
    let disk = TinyModel().write()
    let report: Report = try decoded(
      "eval", "kl", disk.path, "--device", "cpu", "--against-activations", "f32")
    let int8: Perplexity = try decoded("perplexity", disk.path, "--device", "cpu")
    let float: Perplexity = try decoded(
      "perplexity", disk.path, "--device", "cpu", "--activations", "f32")
    // Sums over windows are added up in another order.
    #expect(abs(report.nats_per_token - int8.nats_per_token) < 1e-12)
    #expect(abs(report.base_nats_per_token - float.nats_per_token) < 1e-12)
    #expect(abs(int8.nats_per_token - float.nats_per_token) > 1e-9)
    #expect(report.kl > 0 && report.kl <= report.kl_largest && report.kl_error > 0)
    #expect(report.same_top > 0 && report.tokens > 19 * report.windows - 1 && report.windows > 2)

    let devices: Report = try decoded(
      "eval", "kl", disk.path, "--device", "cpu", "--against-device", "reference")
    #expect(devices.kl < 1e-12 && devices.same_top == 1)
    let files: Report = try decoded(
      "eval", "kl", disk.path, "--device", "cpu", "--against", disk.path)
    #expect(files.kl < 1e-12 && files.same_top == 1 && files.tokens == report.tokens)
  }

  @Test func whatCannotBeComparedIsSaid() throws {
    let disk = TinyModel().write()
    let short = TemporaryFile(Array("HELLO".utf8))
    let wrong: [([String], Int32, String)] = [
      ([disk.path, "-f", text.path], 64, "say what to compare with"),
      ([disk.path, "-f", text.path, "-c", "40", "--against", "/nonexistent"], 1, "/nonexistent"),
      (
        [disk.path, "-f", short.path, "-c", "40", "--against", disk.path], 1, "fill a window of 40"
      ),
      ([disk.path, "-f", text.path, "-c", "3", "--against", disk.path], 64, "at least 4 tokens"),
      ([disk.path, "-f", text.path, "--windows", "0", "--against", disk.path], 64, "1 or more"),
    ]
    for (words, status, sentence) in wrong {
      let answer = try CommandTests().run(["eval", "kl"] + words + ["--device", "cpu"])
      #expect(answer.status == status && answer.output.isEmpty, "\(words): \(answer.notes)")
      #expect(answer.notes.contains(sentence), "\(words): \(answer.notes)")
    }
  }
}

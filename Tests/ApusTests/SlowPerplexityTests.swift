import Apus
import TestSupport
import Testing

/// Perplexity of the optional models against llama.cpp's (`tools/golden/perplexity.py`), for those
/// that lie among the fetched ones; `tools/golden/requantise.py` makes the variants of SmolLM2.
@Suite(.serialized, .enabled(if: SmolLM2.isPresent, SmolLM2.absence))
struct SlowPerplexityTests {
  struct Golden: Decodable {
    struct Model: Decodable {
      struct Windows: Decodable {
        var perplexity: Double
        var tokens: Int
        var windows: Int
      }
      var rows_512: Windows
    }
    var models: [String: Model]
  }

  static let present: [(path: String, golden: Golden.Model)] = {
    let golden = try? Fixtures.decode(Golden.self, "perplexity/perplexity.json")
    return (golden?.models ?? [:]).sorted { $0.key < $1.key }.compactMap { name, model in
      (Fixtures.fetched(name) ?? Fixtures.fetched("requantised/\(name)")).map { ($0, model) }
    }
  }()

  @Test(.enabled(if: !present.isEmpty, "none of the optional models is there"))
  func perplexityIsLlamaCpps() async throws {
    let text = try SmolLM2.text(tokens: 5000)
    for (path, golden) in Self.present {
      let name = path.split(separator: "/").last ?? ""
      for device in SmolLM2.devices {
        var figures: [Activations: Double] = [:]
        for activations in [Activations.f32, .int8] {
          let model = try await SmolLM2.load(device, activations, path: path)
          let result = try await model.perplexity(of: text, windows: golden.rows_512.windows)
          await model.close()
          #expect(result.tokens == golden.rows_512.tokens)
          figures[activations] = result.perplexity
        }
        let (float, int8) = (figures[.f32] ?? .nan, figures[.int8] ?? .nan)
        print(
          "perplexity of \(name) on \(device): f32 \(float), llama.cpp "
            + "\(golden.rows_512.perplexity), int8 \(int8)")
        #expect(abs(float / golden.rows_512.perplexity - 1) < 0.001, "\(name) on \(device)")
        #expect(abs(int8 / float - 1) < 0.01, "\(name) on \(device)")
      }
    }
  }
}

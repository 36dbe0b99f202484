import Apus
import Runtime
import Sampling
import TestSupport
import Testing
import Tokenization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// SmolLM2 against what llama.cpp says of it (`tools/golden`). The tolerances are those of decision
/// 0005: int8 arithmetic of two engines differs by chance, single precision does not.
@Suite(.serialized, .enabled(if: SmolLM2.isPresent, SmolLM2.absence))
struct GoldenTests {
  private struct Perplexity: Decodable {
    struct Setting: Decodable {
      struct Windows: Decodable {
        var perplexity: Double
        var tokens: Int
        var windows: Int
      }
      var windows_512: Windows
    }
    var f32: Setting
    var int8: Setting
  }

  private func perplexity(
    _ device: DeviceChoice, _ activations: Activations
  ) async throws -> PerplexityResult {
    let model = try await SmolLM2.load(device, activations)
    let result = try await model.perplexity(of: SmolLM2.text(tokens: 5000), windows: 8)
    await model.close()
    return result
  }

  @Test func perplexityInSinglePrecisionIsLlamaCpps() async throws {
    let golden = try Fixtures.decode(Perplexity.self, "smollm2/perplexity.json").f32.windows_512
    for device in SmolLM2.devices {
      let result = try await perplexity(device, .f32)
      print("perplexity, f32, \(device): \(result.perplexity), llama.cpp \(golden.perplexity)")
      #expect(result.tokens == golden.tokens && result.windows == golden.windows)
      #expect(abs(result.perplexity / golden.perplexity - 1) < 0.001)
    }
  }

  @Test func perplexityWithInt8HasTheSameBitsOnEveryDevice() async throws {
    let golden = try Fixtures.decode(Perplexity.self, "smollm2/perplexity.json")
    var results: [PerplexityResult] = []
    for device in SmolLM2.devices {
      let result = try await perplexity(device, .int8)
      print("perplexity, int8, \(device): \(result.perplexity)")
      #expect(abs(result.perplexity / golden.f32.windows_512.perplexity - 1) < 0.01)
      results.append(result)
    }
    for result in results { #expect(result.windowNats == results[0].windowNats) }
  }

  @Test(arguments: Activations.allCases)
  func theReferenceAgrees(activations: Activations) async throws {
    let text = try SmolLM2.text(tokens: 200)
    var nats: [Double] = []
    for device in [.reference] + SmolLM2.devices {
      let model = try await SmolLM2.load(device, activations, context: 64)
      let result = try await model.perplexity(of: text, window: 64, windows: 1)
      await model.close()
      print("perplexity of 64 tokens, \(activations), \(device): \(result.perplexity)")
      nats.append(result.natsPerToken)
    }
    // Within 0.01 % of perplexity; with int8 to the last bit.
    for value in nats { #expect(abs(value - nats[0]) < (activations == .int8 ? 1e-300 : 1e-4)) }
  }

  private struct TeacherForced: Decodable {
    struct Setting: Decodable {
      var argmax: [Int32]
      var top: [Double]
      var second: [Double]
    }
    var windows: Int
    var context: Int
    var f32: Setting
    var int8: Setting
  }

  /// Fed the true text, the likeliest next token is llama.cpp's, or the model itself hardly prefers
  /// one: how far its first two lie apart is read off single precision, since int8 moves the two by
  /// chance, in llama.cpp as here.
  @Test(arguments: Activations.allCases)
  func theLikeliestTokenIsLlamaCpps(activations: Activations) async throws {
    let golden = try Fixtures.decode(TeacherForced.self, "smollm2/teacher-forced.json")
    let setting = activations == .int8 ? golden.int8 : golden.f32
    for device in SmolLM2.devices {
      let model = try await SmolLM2.load(device, activations)
      let ids = model.text.tokenizer.encode(try SmolLM2.text(tokens: 5000))
      var likeliest: [Int32] = []
      for window in 0..<golden.windows {
        let tokens = Array(ids[window * golden.context..<(window + 1) * golden.context])
        likeliest += try await model.engine.perform { loop throws(EngineError) in
          var picks: [Int32] = []
          try loop.evaluate(tokens, wantedFrom: 0) { picks.append(Sampler.likeliest(Array($1))) }
          return picks
        }
      }
      await model.close()
      let count = min(likeliest.count, setting.argmax.count)
      #expect(count >= 2000)
      var same = 0
      var widest = 0.0
      for index in 0..<count {
        if likeliest[index] == setting.argmax[index] {
          same += 1
        } else {
          widest = max(widest, golden.f32.top[index] - golden.f32.second[index])
        }
      }
      print(
        "arg-max, \(activations), \(device): \(same) of \(count) as llama.cpp's; widest gap "
          + "\(widest) nats")
      #expect(Double(same) >= 0.95 * Double(count))
      #expect(widest < 0.5)
    }
  }

  private struct Greedy: Decodable {
    struct Setting: Decodable {
      var ids: [Int32]
      var text: String
    }
    var prompt: String
    var prompt_ids: [Int32]
    var f32: Setting
    var int8: Setting
  }

  @Test(arguments: Activations.allCases)
  func greedyTextsAreLlamaCpps(activations: Activations) async throws {
    let golden = try Fixtures.decode([Greedy].self, "smollm2/greedy.json")
    var options = GenerationOptions()
    (options.temperature, options.limit) = (0, 24)
    var texts: [[String]] = []
    for device in SmolLM2.devices {
      let model = try await SmolLM2.load(device, activations)
      var same = 0
      var spoken: [String] = []
      for case let golden in golden {
        #expect(model.text.tokenizer.encode(golden.prompt) == golden.prompt_ids)
        var text = ""
        for try await event in model.generate(.raw(Array(golden.prompt.utf8)), options: options) {
          if case .text(let piece) = event { text += piece }
        }
        same += text == (activations == .int8 ? golden.int8 : golden.f32).text ? 1 : 0
        spoken.append(text)
      }
      await model.close()
      print("greedy texts, \(activations), \(device): \(same) of \(golden.count) as llama.cpp's")
      #expect(same >= 3)
      texts.append(spoken)
    }
    for spoken in texts { #expect(spoken == texts[0]) }
  }

  private struct Tokens: Decodable {
    struct Case: Decodable {
      var text: String
      var ids: [Int32]
      var ids_parse_special: [Int32]
    }
    var add_bos: Bool
    var end_of_generation: Set<Int32>
    var cases: [Case]
  }

  @Test func tokensAreLlamaCpps() throws {
    let golden = try Fixtures.decode(Tokens.self, "smollm2/tokenization.json")
    let codec = try TextCodec(path: SmolLM2.path)
    #expect(golden.cases.count >= 40)
    for test in golden.cases {
      let bytes = Array(test.text.utf8)
      #expect(codec.encode(bytes) == test.ids, "\(test.text)")
      #expect(codec.encode(bytes, parsesSpecial: true) == test.ids_parse_special, "\(test.text)")
    }
    let text = try ModelText(path: SmolLM2.path)
    #expect(text.tokenizer.addsBOS == golden.add_bos)
    #expect(text.tokenizer.endOfGeneration == golden.end_of_generation)
  }

  private struct Chat: Decodable {
    struct Case: Decodable {
      struct Message: Decodable {
        var role: String
        var content: String
      }
      var messages: [Message]
      var add_generation_prompt: Bool
      var ids: [Int32]
    }
    var cases: [Case]
  }

  @Test func conversationsAreWrittenAsTheTemplateSays() throws {
    let golden = try Fixtures.decode(Chat.self, "smollm2/chat.json")
    let text = try ModelText(path: SmolLM2.path)
    var checked = 0
    for test in golden.cases where test.add_generation_prompt {
      let messages = test.messages.map { ChatMessage(role: $0.role, content: $0.content) }
      #expect(try text.tokens(of: messages) == test.ids)
      checked += 1
    }
    #expect(checked >= 2)
  }
}

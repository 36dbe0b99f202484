import Sampling
import TestSupport
import Testing

/// What llama.cpp's samplers leave of the same logits (`tools/golden/sampling.py`): one sampler at a
/// time, and the whole chain.
@Suite struct SamplerGoldenTests {
  private struct Fixture: Decodable {
    struct Breakers: Decodable {
      var texts: [String]
      var met: [[Int32]]
    }
    struct Case: Decodable {
      var logits: String
      var history: String
      var chain: [Value]
      var left: [[Double]]
    }
    var logits: [String: [Float]]
    var histories: [String: [Int32]]
    var breakers: [Breakers]
    var cases: [Case]
  }

  private enum Value: Decodable {
    case number(Double)
    case text(String)
    case list([Value])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let number = try? container.decode(Double.self) {
        self = .number(number)
      } else if let text = try? container.decode(String.self) {
        self = .text(text)
      } else {
        self = .list(try container.decode([Value].self))
      }
    }

    var float: Float {
      switch self {
      case .number(let number): Float(number)
      case .text(let text): Float(text) ?? .nan
      case .list: .nan
      }
    }
    var text: String { if case .text(let text) = self { text } else { "" } }
    var list: [Value] { if case .list(let list) = self { list } else { [] } }
  }

  /// The parameters of a chain, everything else switched off.
  private func parameters(_ chain: [Value], _ fixture: Fixture) throws -> SamplingParameters {
    var p = SamplingParameters()
    (p.topK, p.topP, p.minP, p.temperature) = (0, 1, 0, 1)
    for sampler in chain.map(\.list) {
      let arguments = sampler[1].list
      let numbers = arguments.map(\.float)
      switch sampler[0].text {
      case "top_k": p.topK = Int(numbers[0])
      case "typical": p.typicalP = numbers[0]
      case "top_p": p.topP = numbers[0]
      case "min_p": p.minP = numbers[0]
      case "top_n_sigma": p.topNSigma = numbers[0]
      case "temp": p.temperature = numbers[0]
      case "xtc": (p.xtcProbability, p.xtcThreshold) = (numbers[0], numbers[1])
      case "logit_bias":
        for bias in arguments.map(\.list) { p.logitBias[Int32(bias[0].float)] = bias[1].float }
      case "penalties":
        (p.penaltyWindow, p.repetitionPenalty) = (Int(numbers[0]), numbers[1])
        (p.frequencyPenalty, p.presencePenalty) = (numbers[2], numbers[3])
      case "dry":
        (p.dry.multiplier, p.dry.base) = (numbers[0], numbers[1])
        (p.dry.allowedLength, p.dry.window) = (Int(numbers[2]), Int(numbers[3]))
        let texts = arguments[4].list.map(\.text)
        if !texts.isEmpty {
          let breakers = try #require(fixture.breakers.first { $0.texts == texts })
          for breaker in breakers.met {
            p.dry.breakers[breaker[0], default: []].append(Array(breaker.dropFirst()))
          }
        }
      case let other: Issue.record("the fixture has a sampler '\(other)'")
      }
    }
    return p
  }

  @Test func whatIsLeftIsWhatLlamaCppLeaves() throws {
    let fixture = try Fixtures.decode(Fixture.self, "sampling/samplers.json")
    #expect(fixture.cases.count >= 150)
    for (index, test) in fixture.cases.enumerated() {
      let parameters = try parameters(test.chain, fixture)
      #expect(parameters.complaint() == nil)
      let logits = try #require(fixture.logits[test.logits])
      let history = try #require(fixture.histories[test.history])
      var sampler = Sampler(parameters)
      let candidates = sampler.candidates(parameters.adjusted(logits, history: history))
      let shares = candidates.probabilities(temperature: parameters.temperature)
      let left = zip(candidates.items, shares).filter { $0.1 > 1e-30 }
        .sorted { $0.0.token < $1.0.token }
      let name = "case \(index), \(test.logits), \(test.history), \(test.chain)"
      #expect(left.map { Double($0.0.token) } == test.left.map { $0[0] }, "\(name)")
      for (ours, theirs) in zip(left, test.left) {
        #expect(abs(Double(ours.1) - theirs[1]) <= 1e-4 * theirs[1] + 1e-12, "\(name)")
      }
    }
  }
}

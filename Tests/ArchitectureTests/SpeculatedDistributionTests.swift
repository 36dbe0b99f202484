import CPUBackend
import Devices
import GGUF
import ModelGraph
import Models
import Planning
import Runtime
import Sampling
import Scheduling
import TestSupport
import Testing

/// What is drawn with guessed tokens has the distribution that it has without: counts of texts are held against the
/// exact probabilities of these texts, by chi-squared. Rules that are nearly right do not pass.
@Suite struct SpeculatedDistributionTests {
  private static let samples = 3000
  private static let length = 5
  /// It repeats itself, so that the lookup always guesses.
  private static let prompt: [Int32] = [5, 9, 14, 5, 9, 14, 5, 9]

  /// All of the sampler's chain: three tokens at most are left, and which ones and how likely they are depends on the
  /// text. Logits of a tiny model are alike, so little warmth is enough.
  private static func sampling(_ seed: Int) -> SamplingParameters {
    var sampling = SamplingParameters()
    (sampling.temperature, sampling.topK, sampling.topP, sampling.minP) = (0.15, 3, 0.98, 0.02)
    sampling.logitBias = [5: 4, 9: 4, 14: 4, 20: 3.9]
    (sampling.repetitionPenalty, sampling.frequencyPenalty) = (1.01, 0.01)
    sampling.seed = UInt64(seed)
    return sampling
  }

  /// A tiny model; with fewer layers it is another one with the same tokens.
  private static func loop(layers: Int) throws -> EngineLoop {
    var tiny = TinyModel()
    tiny.layers = layers
    let file = try GGUFFile(bytes: tiny.encoded(), path: "tiny")
    let device = CPUDevice(threads: 1)
    let plan = try Planner(
      bounds: SymbolSizes(rows: 16, outputs: 9), pageCount: 4, element: .f16
    ).plan(Model(file, activations: .int8).graph, on: [device])
    return try EngineLoop(plan, devices: [device], weights: file, contextLength: 64)
  }

  /// Logits behind texts, each computed once.
  private final class Oracle {
    private let loop: EngineLoop
    private var known: [[Int32]: [Float]] = [:]

    init(_ loop: EngineLoop) { self.loop = loop }

    func logits(_ text: [Int32]) throws -> [Float] {
      if let found = known[text] { return found }
      var found: [Float] = []
      try loop.evaluate(text, wantedFrom: text.count - 1) { _, logits in found = Array(logits) }
      known[text] = found
      return found
    }

    func pick(_ sampler: inout Sampler, behind text: [Int32]) throws -> Int32 {
      sampler.pick(try logits(text), history: text)
    }

    /// How likely each text is that may follow the prompt.
    func probabilities() throws -> [[Int32]: Double] {
      var texts: [[Int32]: Double] = [[]: 1]
      for _ in 0..<length {
        var longer: [[Int32]: Double] = [:]
        for (text, share) in texts {
          let parameters = sampling(0)
          var sampler = Sampler(parameters)
          let candidates = sampler.candidates(
            parameters.adjusted(try logits(prompt + text), history: prompt + text))
          let shares = candidates.probabilities(temperature: parameters.temperature)
          for (candidate, part) in zip(candidates.items, shares) {
            longer[text + [candidate.token]] = share * Double(part)
          }
        }
        texts = longer
      }
      return texts
    }
  }

  /// How far counts are from what is expected, in standard deviations of chi-squared. Texts that are not expected
  /// often enough count as one.
  private func deviation(
    _ texts: [[Int32]], from probabilities: [[Int32]: Double]
  ) -> Double {
    var counts: [[Int32]: Double] = [:]
    for text in texts { counts[text, default: 0] += 1 }
    var (statistic, cells) = (0.0, 0.0)
    var rest = (counted: 0.0, expected: 0.0)
    func add(_ counted: Double, _ expected: Double) {
      statistic += (counted - expected) * (counted - expected) / expected
      cells += 1
    }
    for (text, share) in probabilities {
      let expected = share * Double(texts.count)
      let counted = counts.removeValue(forKey: text) ?? 0
      if expected < 8 {
        rest = (rest.counted + counted, rest.expected + expected)
      } else {
        add(counted, expected)
      }
    }
    // What cannot be at all.
    rest.counted += counts.values.reduce(0, +)
    if rest.counted + rest.expected > 0 { add(rest.counted, max(rest.expected, 1e-3)) }
    return (statistic - (cells - 1)) / (2 * (cells - 1)).squareRoot()
  }

  /// Texts of the engine, with its draft where it has one.
  private func texts(
    _ loop: EngineLoop, speculation: Int
  ) throws -> (texts: [[Int32]], accepted: Int, rejected: Int) {
    var texts: [[Int32]] = []
    var (accepted, rejected) = (0, 0)
    for seed in 0..<Self.samples {
      var text: [Int32] = []
      let report = try loop.generate(
        GenerationRequest(
          prompt: Self.prompt, sampling: Self.sampling(seed), limit: Self.length, endTokens: [],
          keepsCache: seed % 2 == 0, speculation: speculation), isCancelled: { false }
      ) {
        text.append($0)
        return true
      }
      texts.append(text)
      accepted += report.acceptedTokens
      rejected += report.proposedTokens - report.acceptedTokens
    }
    return (texts, accepted, rejected)
  }

  @Test func theEngineDrawsWhatItDrawsWithout() throws {
    let (loop, oracle) = (try Self.loop(layers: 2), Oracle(try Self.loop(layers: 2)))
    let probabilities = try oracle.probabilities()
    #expect(abs(probabilities.values.reduce(0, +) - 1) < 1e-4)
    #expect(probabilities.values.count { $0 * Double(Self.samples) >= 8 } > 20)
    let plain = try texts(loop, speculation: 0).texts
    let lookup = try texts(loop, speculation: 4)
    loop.draft = try Self.loop(layers: 1)
    let draft = try texts(loop, speculation: 4)
    for (texts, accepted, rejected) in [(plain, 999, 999), lookup, draft] {
      #expect(abs(deviation(texts, from: probabilities)) < 4)
      #expect(accepted > 500 && rejected > 500, "\(accepted) accepted, \(rejected) rejected")
      // By the same random numbers it is the same text.
      #expect(texts == plain)
    }
  }

  private enum Rule: CaseIterable {
    /// A token is drawn as always; what was proposed stays where it is that token.
    case ofTheEngine
    /// What was proposed stays.
    case acceptsAll
    /// What may be drawn stays.
    case acceptsCandidates
    /// Where it was not what was proposed, a token is drawn anew: from p and not from what is left of it.
    case drawsAnew
  }

  /// A text by a rule.
  private func text(
    _ rule: Rule, seed: Int, _ target: Oracle, draft: Oracle?
  ) throws -> [Int32] {
    let parameters = Self.sampling(seed)
    var sampler = Sampler(parameters)
    var text = Self.prompt
    let end = text.count + Self.length
    while text.count < end {
      var proposed: [Int32] = []
      if let draft {
        var guess = sampler
        for _ in 0..<2 {
          proposed.append(try draft.pick(&guess, behind: text + proposed))
        }
      } else {
        var lookup = PromptLookup()
        for token in text { lookup.append(token) }
        proposed = lookup.propose(2)
      }
      var isRight = true
      for token in proposed where isRight && text.count < end {
        var picked = try target.pick(&sampler, behind: text)
        isRight = picked == token
        switch rule {
        case .ofTheEngine: break
        case .acceptsAll: (picked, isRight) = (token, true)
        case .acceptsCandidates:
          var other = sampler
          let candidates = other.candidates(
            parameters.adjusted(try target.logits(text), history: text))
          if candidates.items.contains(where: { $0.token == token }) {
            (picked, isRight) = (token, true)
          }
        case .drawsAnew:
          if !isRight { picked = try target.pick(&sampler, behind: text) }
        }
        text.append(picked)
      }
      if isRight, text.count < end { text.append(try target.pick(&sampler, behind: text)) }
    }
    return Array(text[Self.prompt.count...])
  }

  /// The test can tell: with the engine's rule it passes, and with none of the others.
  @Test func rulesThatAreNearlyRightDoNotPass() throws {
    let target = Oracle(try Self.loop(layers: 2))
    let probabilities = try target.probabilities()
    for draft in [nil, Oracle(try Self.loop(layers: 1))] {
      for rule in Rule.allCases {
        let texts = try (0..<Self.samples).map { seed in
          try text(rule, seed: seed, target, draft: draft)
        }
        let deviation = deviation(texts, from: probabilities)
        if rule == .ofTheEngine {
          #expect(abs(deviation) < 4)
        } else {
          #expect(deviation > 20, "\(rule): \(deviation)")
        }
      }
    }
  }
}

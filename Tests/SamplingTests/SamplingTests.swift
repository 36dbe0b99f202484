import Sampling
import Testing

@Suite struct SamplingTests {
  private func parameters(_ change: (inout SamplingParameters) -> Void) -> SamplingParameters {
    var parameters = SamplingParameters()
    (parameters.topK, parameters.topP, parameters.minP, parameters.temperature) = (0, 1, 0, 1)
    change(&parameters)
    return parameters
  }

  /// How often each token is picked in a thousand draws.
  private func counts(
    _ logits: [Float], history: [Int32] = [], _ change: (inout SamplingParameters) -> Void
  ) -> [Int] {
    var sampler = Sampler(parameters(change))
    var counts = [Int](repeating: 0, count: logits.count)
    for _ in 0..<1000 { counts[Int(sampler.pick(logits, history: history))] += 1 }
    return counts
  }

  @Test func greedyPicksTheFirstOfTheLargest() {
    var sampler = Sampler(parameters { $0.temperature = 0 })
    #expect(sampler.pick([1, 3, 3, 2], history: []) == 1)
    #expect(sampler.pick([.nan, -1, .nan], history: []) == 1)
  }

  @Test func chanceFollowsTheProbabilities() {
    // Probabilities 0.1, 0.2, 0.7.
    let counts = counts([0.1, 0.2, 0.7].map { Float($0).logarithm }) { _ in }
    #expect((60...145).contains(counts[0]) && (150...255).contains(counts[1]))
    #expect((640...760).contains(counts[2]))
  }

  @Test func temperatureSharpensAndFlattens() {
    let logits: [Float] = [0, 1]
    let cold = counts(logits) { $0.temperature = 0.2 }
    let hot = counts(logits) { $0.temperature = 20 }
    #expect(cold[1] > 970 && (430...590).contains(hot[1]))
  }

  @Test func topKTopPAndMinPCutTheTail() {
    let logits = [0.5, 0.3, 0.15, 0.05].map { Float($0).logarithm }
    func kept(_ change: (inout SamplingParameters) -> Void) -> [Int] {
      counts(logits, change).enumerated().filter { $0.element > 0 }.map(\.offset)
    }
    #expect(kept { $0.topK = 2 } == [0, 1])
    #expect(kept { $0.topK = 100 } == [0, 1, 2, 3])
    #expect(kept { $0.topP = 0.79 } == [0, 1])
    #expect(kept { $0.topP = 0.81 } == [0, 1, 2])
    #expect(kept { $0.minP = 0.25 } == [0, 1, 2])
    #expect(kept { $0.minP = 0.61 } == [0])
  }

  @Test func topKAgreesWithSortingTheWholeVocabulary() {
    let logits = (0..<500).map { Float(($0 * 7919) % 499) }
    for k in [1, 3, 40, 499] {
      var few = Sampler(parameters { ($0.topK, $0.temperature) = (k, 100) })
      let best = Set(logits.indices.sorted { logits[$0] > logits[$1] }.prefix(k))
      for _ in 0..<200 { #expect(best.contains(Int(few.pick(logits, history: [])))) }
    }
  }

  @Test func thePenaltyLooksAtTheWindowOnly() {
    let logits: [Float] = [2, 1.9, -5]
    func greedy(_ history: [Int32], window: Int) -> Int32 {
      var sampler = Sampler(
        parameters {
          ($0.temperature, $0.repetitionPenalty, $0.penaltyWindow) = (0, 1.5, window)
        })
      return sampler.pick(logits, history: history)
    }
    #expect(greedy([], window: 64) == 0)
    #expect(greedy([0, 2, 99, -3], window: 64) == 1)
    #expect(greedy([0, 2, 2], window: 2) == 0)
  }

  @Test func theSameSeedGivesTheSameTokens() {
    let logits = (0..<50).map { Float($0 % 7) }
    func draws(_ seed: UInt64) -> [Int32] {
      var sampler = Sampler(parameters { $0.seed = seed })
      return (0..<40).map { _ in sampler.pick(logits, history: []) }
    }
    #expect(draws(5) == draws(5))
    #expect(draws(5) != draws(6))
  }

  @Test func senselessValuesAreComplainedAbout() {
    #expect(SamplingParameters().complaint() == nil)
    #expect(parameters { $0.temperature = -1 }.complaint() != nil)
    #expect(parameters { $0.temperature = .nan }.complaint() != nil)
    #expect(parameters { $0.topP = 0 }.complaint() != nil)
    #expect(parameters { $0.topK = -1 }.complaint() != nil)
    #expect(parameters { $0.minP = 1.5 }.complaint() != nil)
    #expect(parameters { $0.repetitionPenalty = 0 }.complaint() != nil)
    #expect(parameters { $0.penaltyWindow = -1 }.complaint() != nil)
    #expect(parameters { $0.repetitionPenalty = .leastNonzeroMagnitude }.complaint() != nil)
    #expect(parameters { $0.presencePenalty = .infinity }.complaint() != nil)
    #expect(parameters { $0.frequencyPenalty = .nan }.complaint() != nil)
    #expect(parameters { $0.topNSigma = .nan }.complaint() != nil)
    #expect(parameters { $0.typicalP = 0 }.complaint() != nil)
    #expect(parameters { $0.xtcProbability = 1.1 }.complaint() != nil)
    #expect(parameters { $0.xtcThreshold = -0.1 }.complaint() != nil)
    #expect(parameters { $0.dry.multiplier = .nan }.complaint() != nil)
    #expect(parameters { $0.dry.base = 0.9 }.complaint() != nil)
    #expect(parameters { $0.dry.allowedLength = -1 }.complaint() != nil)
    #expect(parameters { $0.dry.window = -1 }.complaint() != nil)
    #expect(parameters { $0.logitBias = [3: .nan] }.complaint() != nil)
    #expect(parameters { $0.logitBias = [3: 1] }.complaint(vocabulary: 4) == nil)
    #expect(parameters { $0.logitBias = [4: 1] }.complaint(vocabulary: 4) != nil)
    #expect(parameters { $0.logitBias = [-1: 1] }.complaint(vocabulary: 4) != nil)
  }
}

extension Float {
  /// The natural logarithm by its series around 1, which is all that these tests need.
  fileprivate var logarithm: Float {
    let y = Double((self - 1) / (self + 1))
    return Float((0..<60).reduce(0.0) { $0 + 2 * power(y, 2 * $1 + 1) / Double(2 * $1 + 1) })
  }

  private func power(_ base: Double, _ exponent: Int) -> Double {
    (0..<exponent).reduce(1) { product, _ in product * base }
  }
}

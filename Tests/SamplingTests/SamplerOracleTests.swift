import Sampling
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Samplers against the plainest way to say what they do, and against input that nobody sends on
/// purpose.
@Suite struct SamplerOracleTests {
  private func neutral(_ change: (inout SamplingParameters) -> Void) -> SamplingParameters {
    var parameters = SamplingParameters()
    (parameters.topK, parameters.topP, parameters.minP, parameters.temperature) = (0, 1, 0, 1)
    change(&parameters)
    return parameters
  }

  private func kept(_ logits: [Float], _ change: (inout SamplingParameters) -> Void) -> [Int] {
    var sampler = Sampler(neutral(change))
    return sampler.candidates(logits).items.map { Int($0.token) }.sorted()
  }

  /// Numbers that look like chance and are the same each time.
  private func noise(_ count: Int, _ scale: Float, seed: UInt64 = 1) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Float(state >> 40) / Float(1 << 24) - 0.5) * scale
    }
  }

  private func shares(_ logits: [Float]) -> [Double] {
    let weights = logits.map { exp(Double($0)) }
    let total = weights.reduce(0, +)
    return weights.map { $0 / total }
  }

  /// A vocabulary of which most is left, so that the search for the best goes through its portions.
  @Test(arguments: [Float(0.5), 4, 30])
  func cutsOfALargeVocabularyAreThoseOfSortingIt(scale: Float) {
    let logits = noise(20_000, scale)
    let shares = shares(logits)
    func cut(_ places: [Int], at p: Double) -> [Int] {
      var sum = 0.0
      let count = places.firstIndex {
        sum += shares[$0]
        return sum >= p
      }
      return places[...(count ?? places.count - 1)].sorted()
    }
    let likeliest = logits.indices.sorted { logits[$0] > logits[$1] }
    let entropy = shares.reduce(0) { $0 - $1 * log($1) }
    let typical = logits.indices.sorted {
      abs(-log(shares[$0]) - entropy) < abs(-log(shares[$1]) - entropy)
    }
    /// Single precision may put the last of thousands on the other side of the line.
    func agree(_ ours: [Int], _ theirs: [Int], _ name: String) {
      let differing = Set(ours).symmetricDifference(theirs).count
      #expect(differing <= theirs.count / 500, "\(name): \(ours.count), \(theirs.count)")
    }
    for p in [0.1, 0.5, 0.9] {
      agree(kept(logits) { $0.topP = Float(p) }, cut(likeliest, at: p), "top-p \(p)")
      agree(kept(logits) { $0.typicalP = Float(p) }, cut(typical, at: p), "typical \(p)")
    }
    for k in [1, 100, 19_999, 20_000, .max] {
      #expect(kept(logits) { $0.topK = k } == likeliest.prefix(k).sorted())
    }
  }

  @Test func dryIsTheLengthOfTheLongestRepetition() {
    for seed in 1...40 as ClosedRange<UInt64> {
      let history = noise(60, 4, seed: seed).map { Int32($0 + 2) }
      let p = neutral {
        ($0.dry.multiplier, $0.dry.base, $0.dry.window) = (1, 2, 40)
        ($0.dry.allowedLength, $0.dry.breakers) = (1, [3: [[]]])
      }
      let adjusted = p.adjusted([Float](repeating: 0, count: 4), history: history)
      let recent = Array(history.suffix(40))
      for token in 0..<4 as Range<Int32> {
        var longest = 0
        for end in recent.indices where recent[end] == token && token != 3 {
          var length = 0
          while length < end, recent[end - 1 - length] == recent[recent.count - 1 - length],
            recent[recent.count - 1 - length] != 3
          { length += 1 }
          longest = max(longest, length)
        }
        let penalty: Float = longest < 1 ? 0 : exp2(Float(longest - 1))
        #expect(adjusted[Int(token)] == -penalty, "seed \(seed), token \(token)")
      }
    }
  }

  @Test func aLongRepetitionHasAFinitePenalty() {
    let p = neutral { ($0.dry.multiplier, $0.dry.window) = (1, 10_000) }
    let adjusted = p.adjusted([0, 0], history: Array(repeating: 1, count: 10_000))
    #expect(adjusted[0] == 0 && adjusted[1].isFinite && adjusted[1] < -1e30)
  }

  @Test func coldSamplingHonoursWhatTakesTheBestAway() {
    let logits: [Float] = [1, 3, 2.9, 0]
    func pick(_ change: (inout SamplingParameters) -> Void) -> Int32 {
      var sampler = Sampler(
        neutral {
          $0.temperature = 0
          change(&$0)
        })
      return sampler.pick(logits, history: [])
    }
    #expect(pick { _ in } == 1)
    #expect(pick { ($0.xtcProbability, $0.xtcThreshold) = (1, 0.1) } == 2)
    #expect(pick { $0.logitBias = [1: -.infinity] } == 2)
    #expect(pick { $0.logitBias = [3: .infinity] } == 3)
    #expect(pick { $0.logitBias = [0: 5, 7: 5, -1: 5] } == 0)
  }

  @Test func xtcTakesEffectAsOftenAsItsProbabilitySays() {
    var sampler = Sampler(neutral { ($0.xtcProbability, $0.xtcThreshold) = (0.3, 0.1) })
    let lengths = (0..<1000).map { _ in sampler.candidates([0, 0, 0, 0]).items.count }
    let cut = lengths.count { $0 == 1 }
    #expect((240...360).contains(cut) && lengths.allSatisfy { $0 == 1 || $0 == 4 })
  }

  @Test func strangeLogitsAreSurvived() {
    let rows: [[Float]] = [
      [.nan], [-.infinity], [.infinity], [.nan, -.infinity, .infinity], [.infinity, .infinity],
      [-.infinity, -.infinity], [.greatestFiniteMagnitude, -.greatestFiniteMagnitude], [0],
    ]
    let changes: [(inout SamplingParameters) -> Void] = [
      { _ in }, { $0.topK = 1 }, { $0.topK = .max }, { $0.typicalP = 0.1 }, { $0.topP = 1e-9 },
      { $0.minP = 1 }, { ($0.xtcProbability, $0.xtcThreshold) = (1, 0) }, { $0.topNSigma = 1 },
      { $0.temperature = .leastNonzeroMagnitude }, { $0.temperature = .greatestFiniteMagnitude },
      { ($0.presencePenalty, $0.frequencyPenalty) = (3e38, 3e38) },
      { ($0.dry.multiplier, $0.dry.base) = (3e38, 3e38) },
      { ($0.penaltyWindow, $0.dry.window, $0.dry.allowedLength) = (.max, .max, .max) },
      { $0.logitBias = [0: .infinity, 1: -.infinity, .max: 1, .min: 1] },
    ]
    for row in rows {
      for change in changes {
        for temperature in [0, 1] as [Float] {
          let p = neutral {
            $0.temperature = temperature
            change(&$0)
          }
          #expect(p.complaint() == nil)
          var sampler = Sampler(p)
          let history: [Int32] = [0, 1, 0, 1, 0, 1, -5, 99, 0, 1, 0]
          #expect(row.indices.contains(Int(sampler.pick(row, history: history))))
        }
      }
    }
  }

  /// Speed is told, and bounded by a pass over the same logits, which no sampler can do without.
  @Test func aLargeVocabularyIsNotSorted() {
    let logits = noise(262_144, 20)
    func milliseconds(_ body: () -> Int32) -> Double {
      let clock = ContinuousClock()
      var times: [Double] = []
      for _ in 0..<15 {
        let start = clock.now
        #expect(body() >= 0)
        times.append((clock.now - start) / .milliseconds(1))
      }
      return times.sorted()[7]
    }
    let pass = milliseconds { Sampler.likeliest(logits) }
    let history = (0..<4096).map { Int32($0 % 700) }
    func time(_ change: (inout SamplingParameters) -> Void) -> Double {
      var p = SamplingParameters()
      change(&p)
      var sampler = Sampler(p)
      return milliseconds { sampler.pick(logits, history: history) }
    }
    let defaults = time { _ in }
    let all = time {
      ($0.repetitionPenalty, $0.dry.multiplier, $0.dry.window) = (1.1, 0.8, 4096)
      ($0.xtcProbability, $0.typicalP) = (0.5, 0.9)
    }
    let wide = time { $0.topK = 10_000 }
    let open = time { $0.topK = 0 }
    let typical = time { ($0.topK, $0.typicalP) = (0, 0.5) }
    print(
      "a token of 262,144: likeliest \(pass) ms, defaults \(defaults), all samplers \(all), top-k "
        + "10,000 \(wide), without top-k \(open), typical without top-k \(typical)")
    #expect(defaults < 30 * pass && all < 60 * pass)
  }
}

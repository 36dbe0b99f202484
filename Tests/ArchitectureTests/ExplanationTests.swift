import CPUBackend
import Devices
import GGUF
import ModelGraph
import Models
import OpenCLBackend
import Planning
import ReferenceBackend
import Residency
import Runtime
import TestSupport
import Testing

/// What `apus explain cache` tells is what was read: it follows from the policy's pure function, and a run that reads
/// what another has told gives its logits.
@Suite(.serialized) struct ExplanationTests {
  private static let context = 256
  private static let prompt: [Int32] = (0..<90).map { Int32(($0 * $0 + 7 * $0) % 61) }
  private static let heads = 2

  private func loop(
    _ policy: CachePolicy, on device: any Device, keeps: Bool = true, replays: Bool = false
  ) throws -> EngineLoop {
    var tiny = TinyModel()
    (tiny.layers, tiny.width, tiny.context) = (4, 128, Self.context)
    let file = try GGUFFile(bytes: tiny.encoded(), path: "tiny")
    var planner = Planner(
      bounds: SymbolSizes(rows: 64, outputs: 1), pageCount: Self.context / 16, element: .f16)
    planner.keepsChoices = keeps
    planner.reading = policy.pages.map {
      PageReading(
        pages: $0,
        chooser: policy.evicts
          ? .mass(rows: policy.observedRows)
          : replays ? .lists : policy.method == .quest ? .scores : .step,
        firstLayer: policy.denseLayers, turnsSinks: policy.method == .sinksTurned)
    }
    return try EngineLoop(
      planner.plan(Model(file, activations: .int8).graph, on: [device]), devices: [device],
      weights: file, contextLength: Self.context, policy: policy)
  }

  private func steps(
    _ loop: EngineLoop, replaying lists: [Int: [Int: [[Int]]]] = [:]
  ) throws -> [ExplainedStep] {
    var steps: [ExplainedStep] = []
    try loop.explain(
      Self.prompt, limit: 40, endTokens: [], replaying: lists, isCancelled: { false }
    ) { steps.append($0) }
    #expect(loop.freePages == Self.context / 16)
    return steps
  }

  private func lists(_ steps: [ExplainedStep], _ loop: EngineLoop) -> [Int: [Int: [[Int]]]] {
    var lists: [Int: [Int: [[Int]]]] = [:]
    for step in steps {
      for choice in step.choices where loop.choosingLayers[choice.layer] != nil {
        lists[step.position, default: [:]][choice.layer] = choice.pages
      }
    }
    return lists
  }

  private static let devices: [@Sendable () throws -> any Device] = {
    var devices: [@Sendable () throws -> any Device] = []
    devices.append { ReferenceDevice() }
    devices.append { CPUDevice(threads: 1) }
    for found in OpenCLDevices.list().devices
    where !["Oclgrind", "rusticl"].contains(found.platform) {
      let index = found.index
      devices.append { try OpenCLDevice(index: index) }
    }
    return devices
  }()

  /// Without being told of it, a run is the same, and so is one that reads its pages from what was told.
  ///
  /// - Returns: A loop that replays, and what it has replayed.
  private func checkReplay(
    of steps: [ExplainedStep], _ noting: EngineLoop, _ policy: CachePolicy,
    _ makeDevice: () throws -> any Device
  ) throws -> (EngineLoop, [Int: [Int: [[Int]]]]) {
    #expect(
      try self.steps(loop(policy, on: makeDevice(), keeps: false)).map(\.logits)
        == steps.map(\.logits))
    let noted = lists(steps, noting)
    let replay = try loop(policy, on: makeDevice(), replays: true)
    let again = try self.steps(replay, replaying: noted)
    #expect(again.map(\.logits) == steps.map(\.logits))
    #expect(again.map { $0.choices.map(\.pages) } == steps.map { $0.choices.map(\.pages) })
    return (replay, noted)
  }

  /// Those that choose for each token.
  @Test(arguments: [CachePolicy.Method.full, .sinks, .sinksTurned, .quest, .random])
  func whatIsToldIsWhatThePolicySaysAndIsRead(method: CachePolicy.Method) throws {
    let policy = try CachePolicy(method, budget: method == .full ? nil : 64, pageTokens: 16)
    var told: [[ExplainedStep]] = []
    for makeDevice in Self.devices {
      let noting = try loop(policy, on: makeDevice())
      let steps = try steps(noting)
      #expect(steps.count == 40)
      for step in steps {
        let held = step.position / 16 + 1
        #expect(step.choices.map(\.layer) == [0, 1, 2, 3])
        for choice in step.choices {
          #expect(choice.pages.count == Self.heads)
          let chooses = method != .full && choice.layer >= policy.denseLayers
          for (head, pages) in choice.pages.enumerated() {
            guard chooses, held > 4 else {
              #expect(pages == Array(0..<held))
              // All pages hold all of it.
              #expect(choice.shares == (chooses && method != .sinksTurned ? [1, 1] : nil))
              continue
            }
            let share = try #require(choice.shares?[head])
            #expect(share > 0 && share < 1)
            if method == .quest {
              let scores = try #require(choice.scores?[head])
              #expect(scores.count == held - 1)
              #expect(pages == PageChoice.best(4, scores: scores + [-.infinity]))
            } else {
              #expect(choice.scores == nil)
              let apart = method == .sinksTurned ? [0] : []
              #expect(pages == apart + policy.choice(of: held, position: step.position))
            }
          }
        }
      }
      let (replay, noted) = try checkReplay(of: steps, noting, policy, makeDevice)
      if method != .full {
        var others = noted
        let position = Self.prompt.count + 2
        others[position]?[2] = Array(repeating: [1, 2, 3, 5], count: Self.heads)
        if noted[position]?[2]?.allSatisfy({ $0 == [1, 2, 3, 5] }) == false {
          let changed = try self.steps(replay, replaying: others)
          #expect(changed[1].logits == steps[1].logits && changed[2].logits != steps[2].logits)
        }
      }
      told.append(steps)
    }
    // Devices choose alike, by the same scores.
    for steps in told { #expect(steps == told[0]) }
  }

  /// What pages hold of a token's attention is the sum of what each of them holds. The first layer's queries depend on
  /// the token alone, whatever is read.
  @Test func sharesOfAttentionAddUp() throws {
    let held = Self.prompt.count / 16 + 1
    for makeDevice in Self.devices {
      /// What the first token's pages hold in the first layer, for each kv head.
      func shares(of pages: [Int]) throws -> [Float] {
        let policy = try CachePolicy(.sinks, budget: pages.count * 16, pageTokens: 16)
        let loop = try loop(policy, on: makeDevice(), replays: true)
        let lists = Dictionary(
          uniqueKeysWithValues: (0..<4).map { ($0, Array(repeating: pages, count: Self.heads)) })
        var choices: [LayerChoice] = []
        try loop.explain(
          Self.prompt, limit: 1, endTokens: [], replaying: [Self.prompt.count: lists],
          isCancelled: { false }
        ) { choices = $0.choices }
        #expect(choices.first?.pages == Array(repeating: pages, count: Self.heads))
        return try #require(choices.first?.shares)
      }
      let all = Array(0..<held)
      #expect(try shares(of: all) == [1, 1])
      let without = try all.dropLast().map { page in try shares(of: all.filter { $0 != page }) }
      for a in 0..<held - 1 {
        for b in a + 1..<held - 1 {
          let own = try shares(of: [a, b, held - 1])
          for head in 0..<Self.heads {
            let others = without.indices.filter { $0 != a && $0 != b }
            let missing = others.reduce(Float(0)) { $0 + 1 - without[$1][head] }
            #expect(abs(own[head] - (1 - missing)) < 1e-5)
          }
        }
      }
    }
  }

  /// Those that choose once, behind the prompt, whose scores are told with the first token.
  @Test(arguments: [CachePolicy.Method.h2o, .snapkv, .pyramid, .zipvl])
  func whatIsKeptOfAPromptIsTold(method: CachePolicy.Method) throws {
    let policy = try CachePolicy(method, budget: 64, pageTokens: 16)
    let held = (Self.prompt.count + 15) / 16
    let counts = policy.kept(of: held, layers: 4)
    var told: [[ExplainedStep]] = []
    for makeDevice in Self.devices {
      let noting = try loop(policy, on: makeDevice())
      let steps = try steps(noting)
      #expect(steps.count == 40)
      for (index, step) in steps.enumerated() {
        #expect(step.choices.map(\.layer) == [0, 1, 2, 3])
        for choice in step.choices {
          // Attention itself says how many pages zipvl keeps.
          let first = steps[0].choices[choice.layer].pages[0]
          let count =
            method == .zipvl
            ? first.count - (steps[0].position / 16 + 1 - held) : counts[choice.layer]
          let scores = steps[0].choices[choice.layer].scores
          #expect((choice.scores == nil) == (index > 0 || count == held))
          #expect((choice.shares == nil) == (choice.scores == nil))
          #expect(choice.shares?.allSatisfy { $0 > 0 && $0 < 1 } != false)
          for (head, pages) in choice.pages.enumerated() {
            let kept =
              scores.map {
                PageChoice.best(
                  count, scores: $0[head], latest: policy.latest(of: count, held: held))
              } ?? Array(0..<held)
            #expect(pages == kept + (held..<step.position / 16 + 1))
          }
        }
      }
      let (replay, noted) = try checkReplay(of: steps, noting, policy, makeDevice)
      // Other pages give other logits, and the next run is itself again.
      var others = noted
      for (position, layers) in noted {
        others[position]?[2] = layers[2]?.map { $0.map { $0 == 0 ? 1 : $0 } }
      }
      if noted[Self.prompt.count]?[2]?.joined().contains(1) == false {
        #expect(try self.steps(replay, replaying: others)[1].logits != steps[1].logits)
      }
      #expect(try self.steps(replay).map(\.logits) == steps.map(\.logits))
      told.append(steps)
    }
    for steps in told { #expect(steps == told[0]) }
  }
}

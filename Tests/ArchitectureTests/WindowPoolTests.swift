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
import Sampling
import Scheduling
import Tensors
import TestSupport
import Testing

/// Layers that look back over a window have pools of a window's size, and so have the latest tokens where others are
/// kept as codes; nobody can tell by the numbers.
@Suite(.serialized) struct WindowPoolTests {
  private static let context = 1024

  /// Whose pools they are.
  enum Pool: CaseIterable {
    case layers
    case latest
    /// What is before the latest tokens is quantised over those of a page.
    case latestByElement

    var element: KVLayout.Element {
      switch self {
      case .layers: .f16
      case .latest: .q4
      case .latestByElement: .k2v2
      }
    }
  }

  /// With so many rows in a step; with as many as the context has, the pools of all layers are as large.
  private func loop(
    rows: Int, _ kind: Pool = .layers, on device: any Device, policy: CachePolicy = .full
  ) throws -> EngineLoop {
    let disk = TemporaryFile(
      RandomModel(flavour: kind == .layers ? .gemma3 : .llama, type: .q4_1).encoded())
    let file = try GGUFFile(path: disk.path)
    let graph = try Model(file, activations: .int8, contextLength: Self.context).graph
    var planner = Planner(
      bounds: SymbolSizes(rows: rows, outputs: 8), pageCount: Self.context / KVLayout.pageTokens,
      element: kind.element)
    planner.keepsLatest = kind != .layers
    planner.reading = policy.pages.map {
      PageReading(
        pages: $0, chooser: policy.evicts ? .mass(rows: policy.observedRows) : .scores,
        firstLayer: 0)
    }
    let plan = try planner.plan(graph, on: [device])
    return try EngineLoop(
      plan, devices: [device], weights: file, contextLength: Self.context, policy: policy)
  }

  private func text(_ length: Int, seed: Int = 5) -> [Int32] {
    (0..<length).map { Int32(($0 * $0 + seed * $0) % 97) }
  }

  private func answer(
    _ loop: EngineLoop, _ prompt: [Int32], limit: Int = 12
  ) throws -> (tokens: [Int32], reused: Int) {
    var tokens: [Int32] = []
    var sampling = SamplingParameters()
    (sampling.temperature, sampling.seed) = (0.9, 3)
    let report = try loop.generate(
      GenerationRequest(
        prompt: prompt, sampling: sampling, limit: limit, endTokens: [], keepsCache: true),
      isCancelled: { false }
    ) {
      tokens.append($0)
      return true
    }
    return (tokens, report.reusedTokens)
  }

  @Test func poolsTakeWhatAStepReads() throws {
    let (small, large) = (
      try loop(rows: 16, on: CPUDevice()), try loop(rows: 1024, on: CPUDevice())
    )
    // 24 tokens back from the first of 16 rows: three pages, and one more as they begin within one.
    #expect(small.plan.window == WindowPool(tokens: 24, pages: 4))
    #expect(large.plan.window == WindowPool(tokens: 24, pages: 64))
    let pages = small.plan.caches.map { small.plan.bounds[$0.operand.rows] }
    #expect(Set(pages) == [4, 64])
    for (cache, other) in zip(small.plan.caches, large.plan.caches) {
      #expect(cache.isWindow == (small.plan.bounds[cache.operand.rows] == 4))
      #expect(large.plan.bounds[other.operand.rows] == 64)
    }
    let token = small.plan.caches.filter { !$0.isWindow }.reduce(0) {
      $0 + $1.operand.format.rowBytes(1) / 16
    }
    #expect(small.plan.cacheBytesPerToken == token)
  }

  private func check(_ device: () throws -> any Device, _ kind: Pool, length: Int) throws {
    let small = try loop(rows: 16, kind, on: try device())
    let large = try loop(rows: Self.context, kind, on: try device())
    let prompt = text(length)
    func logits(_ loop: EngineLoop) throws -> [[Float]] {
      var rows: [[Float]] = []
      try loop.evaluate(prompt, wantedFrom: length - 5) { rows.append(Array($1)) }
      return rows
    }
    #expect(try logits(small) == logits(large))
    // A conversation goes on where it was, and begins anew where its window has gone.
    var turns = [prompt, text(70, seed: 11)]
    for _ in 0..<3 {
      let found = try turns.map { try answer(small, $0) }
      let wanted = try turns.map { try answer(large, $0) }
      #expect(found.map(\.tokens) == wanted.map(\.tokens))
      turns = zip(turns, wanted).map { $0 + $1.tokens + [7, 1, 9] }
    }
    let once = try answer(small, turns[0])
    let next = turns[0] + once.tokens + [4]
    let again = try answer(small, next)
    #expect(again.reused == turns[0].count + once.tokens.count - 1)
    _ = try answer(large, turns[0])
    #expect(try answer(large, next).tokens == again.tokens)
    // The same in another process.
    let saved = try small.save(small.latest)
    #expect(saved.tokens.count == small.latest.count)
    #expect(saved.pages.count == small.plan.cachedBytes(tokens: saved.tokens.count))
    let last = next + again.tokens + [8, 8]
    let wanted = try answer(small, last)
    for rows in [16, Self.context] {
      let other = try loop(rows: rows, kind, on: try device())
      try other.restore(saved)
      let found = try answer(other, last)
      #expect(found.tokens == wanted.tokens && found.reused == wanted.reused)
      #expect(found.reused == saved.tokens.count)
    }
    #expect(small.freePages == Self.context / KVLayout.pageTokens)
  }

  @Test(arguments: Pool.allCases) func smallPoolsOnTheReference(kind: Pool) throws {
    try check({ ReferenceDevice() }, kind, length: 90)
  }

  /// Far behind the first span of tokens too.
  @Test(arguments: [1, 2], Pool.allCases) func smallPoolsOnTheCPU(
    threads: Int, kind: Pool
  ) throws {
    try check({ CPUDevice(threads: threads) }, kind, length: 700)
  }

  private static let openCL = OpenCLDevices.list().devices.filter {
    !["Oclgrind", "rusticl"].contains($0.platform)
  }

  @Test(arguments: openCL, Pool.allCases)
  func smallPoolsOnOpenCL(_ found: OpenCLDevices.Description, kind: Pool) throws {
    try check({ try OpenCLDevice(index: found.index) }, kind, length: 700)
  }

  /// Policies choose in the other layers.
  @Test(arguments: [CachePolicy.Method.quest, .snapkv, .pyramid, .zipvl])
  func policiesChooseAlike(method: CachePolicy.Method) throws {
    let policy = try CachePolicy(method, budget: 96, pageTokens: 16)
    let small = try loop(rows: 16, on: CPUDevice(), policy: policy)
    let large = try loop(rows: Self.context, on: CPUDevice(), policy: policy)
    var prompt = text(300)
    for _ in 0..<3 {
      let wanted = try answer(large, prompt, limit: 60)
      #expect(try answer(small, prompt, limit: 60).tokens == wanted.tokens)
      prompt += wanted.tokens + [4, 4]
    }
    // What a long reply took the place of is computed anew for a session.
    if !policy.evicts {
      let saved = try small.save(small.latest)
      #expect(saved.tokens == small.latest && saved.tokens.count >= 300)
    }
    let length = prompt.count
    func logits(_ loop: EngineLoop) throws -> [[Float]] {
      var rows: [[Float]] = []
      try loop.evaluate(prompt, wantedFrom: length - 40) { rows.append(Array($1)) }
      return rows
    }
    #expect(try logits(small) == logits(large))
    #expect(small.freePages == Self.context / KVLayout.pageTokens)
  }

  /// A benchmark computes the depth anew where its window has gone, but not while the clock runs: between the last two
  /// paces there are the four steps of the prompt, and not the nineteen of the depth.
  @Test func theClockRunsForWhatIsTimed() throws {
    for (prompt, generated) in [(64, 0), (0, 64)] {
      let loop = try loop(rows: 16, on: CPUDevice())
      var steps = 0
      var marks: [Int] = []
      let durations = try loop.time(
        TimingRequest(
          depth: 300, prompt: prompt, generated: generated, repetitions: 3, warmsUp: true),
        isCancelled: {
          steps += 1
          return false
        },
        pace: { _ in
          marks.append(steps)
          return true
        })
      #expect(durations.count == 3 && marks.count == 4)
      // One question more is asked at the end.
      #expect(marks[3] - marks[2] == (prompt > 0 ? 4 : 64) + 1)
      // The depth was refilled before.
      #expect(marks[2] - marks[1] >= (prompt > 0 ? 4 : 64) + 1 + 19)
    }
  }

  /// Two texts that take turns take each other's places, and what that costs is computed anew.
  @Test func turnsAreTaken() throws {
    var pool = PagePool(
      pageCount: 64, pageTokens: 16, window: WindowPlaces(count: 4, tokens: 24, pageCount: 64))
    let scheduler = Scheduler(rowBudget: 16, outputBudget: 8)
    var sequences = [text(100), text(90, seed: 11)].enumerated().map {
      Sequence(id: $0, tokens: $1, pageTokens: 16)
    }
    func run() throws -> Int {
      var rows = 0
      while sequences.contains(where: { $0.pending > 0 }) {
        let before = sequences.map(\.computed)
        let plan = try scheduler.next(&sequences, pool: &pool)
        rows += plan.rowCount
        #expect(Set(plan.table).count == 1 && plan.windowSlots.count == plan.rowCount)
        for (index, sequence) in sequences.enumerated() where sequence.computed != before[index] {
          // What each row sees within the window has places, each its own.
          for (row, end) in plan.end.enumerated() {
            let seen = max(0, Int(end) - 24) / 16...(Int(end) - 1) / 16
            let places = seen.map { pool.window?.place(of: sequence.table.pages[$0]) }
            #expect(!places.contains(nil) && Set(places).count == seen.count)
            #expect(seen.map { plan.windowTables[$0] } == places.map { $0 ?? -1 })
            #expect(plan.windowSlots[row] / 16 == places.last ?? -1)
          }
        }
      }
      return rows
    }
    #expect(try run() == 190)
    // The first one has lost its window, and the second loses its own then.
    sequences[0].append(3)
    #expect(try run() == 101)
    sequences[1].append(3)
    #expect(try run() == 91)
    // Alone, it goes on.
    sequences[1].append(4)
    #expect(try run() == 1)
  }

  /// A guess that was wrong is taken back, and the window before it is still there.
  @Test(arguments: Pool.allCases) func guessesAreTakenBack(kind: Pool) throws {
    let loop = try loop(rows: 16, kind, on: CPUDevice())
    let prompt = (0..<300).map { Int32([3, 1, 4, 1, 5, 9, 2, 6][$0 % 8]) }
    func answer(_ speculation: Int) throws -> (tokens: [Int32], proposed: Int, accepted: Int) {
      var tokens: [Int32] = []
      var sampling = SamplingParameters()
      (sampling.temperature, sampling.seed) = (0.7, 8)
      let report = try loop.generate(
        GenerationRequest(
          prompt: prompt, sampling: sampling, limit: 60, endTokens: [], speculation: speculation),
        isCancelled: { false }
      ) {
        tokens.append($0)
        return true
      }
      return (tokens, report.proposedTokens, report.acceptedTokens)
    }
    let guessed = try answer(6)
    #expect(guessed.proposed > guessed.accepted)
    #expect(guessed.tokens == (try answer(0)).tokens)
  }
}

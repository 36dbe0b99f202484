import CPUBackend
import Devices
import GGUF
import ModelGraph
import Models
import Planning
import ReferenceBackend
import Residency
import Runtime
import Sampling
import Scheduling
import Tensors
import TestSupport
import Testing

/// Rows that read the tokens of their own window as halves, and those before as codes.
@Suite struct LatestTokensTests {
  private static let context = 512

  private func plan(
    _ element: KVLayout.Element, keepsLatest: Bool, flavour: RandomModel.Flavour = .llama,
    context: Int = context, rows: Int = 64, rotates: Bool = true, on device: any Device
  ) throws -> (plan: ExecutionPlan, file: GGUFFile, disk: TemporaryFile) {
    let disk = TemporaryFile(RandomModel(flavour: flavour, type: .q8_0).encoded())
    let file = try GGUFFile(path: disk.path)
    let graph = try Model(file, activations: .int8, contextLength: context).graph
    var planner = Planner(
      bounds: SymbolSizes(rows: rows, outputs: rows), pageCount: KVLayout.pages(context),
      element: element)
    planner.rotates = rotates
    planner.keepsLatest = keepsLatest
    return (try planner.plan(graph, on: [device]), file, disk)
  }

  private func logits(
    _ length: Int, _ element: KVLayout.Element, keepsLatest: Bool = false, rotates: Bool = true,
    on device: any Device
  ) throws -> [[Float]] {
    let (plan, file, disk) = try plan(
      element, keepsLatest: keepsLatest, rotates: rotates, on: device)
    let loop = try EngineLoop(
      plan, devices: [device], weights: file, contextLength: Self.context)
    var rows: [[Float]] = []
    let text = (0..<length).map { Int32(($0 * $0 + 5 * $0) % 97) }
    try withExtendedLifetime(disk) {
      try loop.evaluate(text, wantedFrom: 0) { rows.append(Array($1)) }
    }
    #expect(loop.freePages == KVLayout.pages(Self.context))
    return rows
  }

  /// The first window has nothing before it, so its rows are those of halves to the last bit; later ones are not, but
  /// nearer to them than where all is read as codes.
  @Test(arguments: [KVLayout.Element.q4, .k4v2, .k2v2])
  func theFirstWindowIsHalves(element: KVLayout.Element) throws {
    for device in [ReferenceDevice(), CPUDevice(threads: 2)] as [any Device] {
      let length = device is ReferenceDevice ? 90 : 400
      let rotates = !element.keysByElement
      let halves = try logits(length, .f16, rotates: rotates, on: device)
      let kept = try logits(
        length, element, keepsLatest: true, rotates: rotates, on: device)
      #expect(Array(kept.prefix(64)) == Array(halves.prefix(64)))
      #expect(zip(kept, halves).dropFirst(64).allSatisfy { $0 != $1 })
      func distance(_ rows: [[Float]]) -> Double {
        zip(rows, halves).reduce(0) { sum, pair in
          zip(pair.0, pair.1).reduce(sum) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        }
      }
      // Keys that are quantised over tokens have no other way.
      if element.keysByElement { continue }
      let codes = try logits(length, element, on: device)
      #expect(distance(kept) < 0.8 * distance(codes), "\(distance(kept)) \(distance(codes))")
    }
  }

  /// However a text is cut into steps, the numbers are the same.
  @Test(arguments: [KVLayout.Element.q4, .k2v2])
  func stepsMayBeginAnywhere(element: KVLayout.Element) throws {
    let device = CPUDevice(threads: 1)
    let text = (0..<300).map { Int32(($0 * $0 + 5 * $0) % 97) }
    var found: [[[Float]]] = []
    for rows in [64, 7, 33] {
      let (plan, file, disk) = try plan(
        element, keepsLatest: true, rows: rows, rotates: !element.keysByElement, on: device)
      let loop = try EngineLoop(
        plan, devices: [device], weights: file, contextLength: Self.context)
      var logits: [[Float]] = []
      try withExtendedLifetime(disk) {
        try loop.evaluate(text, wantedFrom: 200) { logits.append(Array($1)) }
      }
      found.append(logits)
    }
    #expect(found[0] == found[1] && found[0] == found[2])
  }

  /// One window a layer, or where the context is long a 128th of its pages. Keys and values of 8192 tokens take 0.29 of
  /// what they take as halves at most.
  @Test func poolsAreSmall() throws {
    for (context, pages) in [(40, 3), (512, 4), (8192, 4), (16384, 8), (20000, 8)] {
      let kept = try plan(.q4, keepsLatest: true, context: context, on: CPUDevice()).plan
      #expect(
        kept.window == WindowPool(tokens: 64, pages: pages, isAligned: true), "\(context)")
      let windows = kept.caches.filter(\.isWindow)
      #expect(windows.count * 2 == kept.caches.count)
      #expect(windows.allSatisfy { kept.bounds[$0.operand.rows] == pages })
      let halves = try plan(.f16, keepsLatest: false, context: context, on: CPUDevice()).plan
      if context >= 8192 {
        #expect(kept.need(on: 0).cache * 100 <= halves.need(on: 0).cache * 29)
      }
      #expect(kept.cacheBytesPerToken * 32 == halves.cacheBytesPerToken * 9)
      for (element, share) in [(KVLayout.Element.k4v2, 14), (.k2v2, 11)] {
        let fewer = try plan(element, keepsLatest: true, context: context, on: CPUDevice()).plan
        #expect(fewer.cacheBytesPerToken * 64 == halves.cacheBytesPerToken * share)
      }
    }
  }

  /// Layers that look back over a window have a pool for that.
  @Test func modelsWithWindowsDoWithout() throws {
    #expect(throws: PlanningError.self) {
      try self.plan(.k2v2, keepsLatest: true, flavour: .gemma3, on: CPUDevice())
    }
    let plan = try plan(.q4, keepsLatest: true, flavour: .gemma3, on: CPUDevice()).plan
    #expect(plan.window?.isAligned == false && plan.caches.contains { !$0.isWindow })
    #expect(!plan.stepLayout.keepsLatest)
  }

  /// What a profile counts: each token once, in the pool where it is read.
  @Test func profilesCountBothParts() throws {
    let device = CPUDevice(threads: 1)
    let (plan, file, disk) = try plan(.q4, keepsLatest: true, on: device)
    let loop = try EngineLoop(
      plan, devices: [device], weights: file, contextLength: Self.context)
    try loop.startRecording()
    try withExtendedLifetime(disk) {
      try loop.evaluate([Int32](repeating: 5, count: 150), wantedFrom: 149) { _, _ in }
    }
    let recording = try loop.stopRecording()
    #expect(recording.steps.map(\.rows) == [64, 64, 22])
    let instructions = plan.steps.flatMap { step in
      if case .run(_, let list) = step { list.flatMap(\.parts) } else { [Instruction]() }
    }
    for (step, (own, before)) in zip(recording.steps, [(64, 0), (64, 64), (22, 128)]) {
      let tokens = instructions.filter { $0.operation.attention != nil }.map {
        step.sight(of: $0).tokens
      }
      #expect(Set(tokens) == [own, before] && tokens.count % 2 == 0)
    }
  }
}

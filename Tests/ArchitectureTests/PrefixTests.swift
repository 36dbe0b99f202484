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
import Tensors
import TestSupport
import Testing

/// A prefix that is not computed again gives the same bits, on every device and behind any page.
@Suite(.serialized) struct PrefixTests {
  private func loop(
    _ model: RandomModel, context: Int, on device: any Device, policy: CachePolicy = .full
  ) throws -> EngineLoop {
    let disk = TemporaryFile(model.encoded())
    let file = try GGUFFile(path: disk.path)
    let graph = try Model(file, activations: .int8, contextLength: context).graph
    var planner = Planner(
      bounds: SymbolSizes(rows: 64, outputs: 8), pageCount: context / KVLayout.pageTokens,
      element: .f16)
    planner.reading = policy.pages.map {
      PageReading(
        pages: $0, chooser: policy.method == .quest ? .scores : .step,
        firstLayer: policy.denseLayers)
    }
    let plan = try planner.plan(graph, on: [device])
    return try EngineLoop(
      plan, devices: [device], weights: file, contextLength: context, policy: policy)
  }

  /// Rows that were computed since the recording began.
  private func rows(_ loop: EngineLoop) throws -> Int {
    try loop.stopRecording().steps.reduce(0) { $0 + $1.rows }
  }

  /// Devices that interpret kernels take a second for a token.
  private static let openCL = OpenCLDevices.list().devices.filter {
    !["Oclgrind", "rusticl"].contains($0.platform)
  }

  private func checkBoundaries(_ device: any Device, _ flavours: [RandomModel.Flavour]) throws {
    let (context, length) = (256, 87)
    let tokens = (0..<length).map { Int32(($0 * $0 + 5 * $0) % 97) }
    let quest = try CachePolicy(.quest, budget: 48, pageTokens: 16)
    for (flavour, policy) in flavours.flatMap({ [($0, CachePolicy.full), ($0, quest)] }) {
      let loop = try loop(
        RandomModel(flavour: flavour, type: .q4_1), context: context, on: device, policy: policy)
      func logits(shares: Bool) throws -> [[Float]] {
        var rows: [[Float]] = []
        try loop.evaluate(tokens, wantedFrom: length - 5, shares: shares) { rows.append(Array($1)) }
        return rows
      }
      let wanted = try logits(shares: false)
      #expect(wanted.count == 5 && loop.keptPages == 0)
      for held in stride(from: 1, to: length - 5, by: 5) {
        loop.forget()
        let prefix = Array(tokens.prefix(held))
        try loop.evaluate(prefix, wantedFrom: held - 1, shares: true) { _, _ in }
        // A policy takes what was generated to be no part of a prompt, and the last token here was.
        let reused = policy.pages == nil ? held : held - 1
        #expect(loop.freePages == context / 16 && loop.keptPages == (reused + 15) / 16)
        try loop.startRecording()
        let found = try logits(shares: true)
        #expect(try rows(loop) == length - reused)
        #expect(found == wanted, "\(flavour), \(policy.method), \(held) on \(device.traits.name)")
      }
    }
  }

  @Test func boundariesOnTheReference() throws {
    try checkBoundaries(ReferenceDevice(), [.gemma3])
  }

  @Test(arguments: [1, 2]) func boundariesOnTheCPU(threads: Int) throws {
    try checkBoundaries(CPUDevice(threads: threads), RandomModel.Flavour.architectures)
  }

  @Test(arguments: openCL) func boundariesOnOpenCL(_ found: OpenCLDevices.Description) throws {
    try checkBoundaries(OpenCLDevice(index: found.index), RandomModel.Flavour.architectures)
  }

  /// Sixteen requests that begin alike compute that once, and answer as they do alone.
  private func checkSixteen(_ device: any Device, prefix: Int) throws {
    let context = (prefix + 100) / 16 * 16
    let loop = try loop(
      RandomModel(flavour: .architectures[0], type: .q4_1), context: context, on: device)
    let begin = (0..<prefix).map { Int32(($0 * $0 + 3 * $0) % 89) }
    func answer(_ request: Int, keepsCache: Bool) throws -> (tokens: [Int32], reused: Int) {
      var sampling = SamplingParameters()
      (sampling.temperature, sampling.seed) = (request % 2 == 0 ? 0 : 0.9, UInt64(request))
      var tokens: [Int32] = []
      let report = try loop.generate(
        GenerationRequest(
          prompt: begin + [Int32(request), 7, 30, 2, 9], sampling: sampling, limit: 8,
          endTokens: [],
          keepsCache: keepsCache), isCancelled: { false }
      ) {
        tokens.append($0)
        return true
      }
      #expect(loop.freePages == context / 16)
      return (tokens, report.reusedTokens)
    }
    try loop.startRecording()
    let shared = try (0..<16).map { try answer($0, keepsCache: true) }
    #expect(shared.map(\.reused) == [0] + [Int](repeating: prefix, count: 15))
    // The prefix once, of each request five tokens, and all but the last of eight answers.
    #expect(try rows(loop) == prefix + 16 * (5 + 7))
    try loop.startRecording()
    let alone = try (0..<16).map { try answer($0, keepsCache: false) }
    #expect(try rows(loop) == 16 * (prefix + 5 + 7))
    #expect(alone.map(\.tokens) == shared.map(\.tokens) && Set(shared.map(\.tokens)).count > 8)
  }

  @Test func sixteenOnTheReference() throws { try checkSixteen(ReferenceDevice(), prefix: 48) }

  @Test func sixteenOnTheCPU() throws { try checkSixteen(CPUDevice(threads: 2), prefix: 2000) }

  @Test(arguments: openCL) func sixteenOnOpenCL(_ found: OpenCLDevices.Description) throws {
    try checkSixteen(OpenCLDevice(index: found.index), prefix: 2000)
  }
}

import Devices
import GGUF
import ModelGraph
import Models
import Planning
import ReferenceBackend
import Runtime
import Tensors
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// How weights come to a device, and what that takes.
@Suite struct LoadingTests {
  private struct Setup {
    var disk: TemporaryFile
    var file: GGUFFile
    var model: Model
    var plan: ExecutionPlan
    var device = ReferenceDevice()

    init(maps: Bool, partBytes: Int = Planner.defaultPartBytes) throws {
      disk = TinyModel().write()
      file = try GGUFFile(path: disk.path)
      model = try Model(file, activations: .int8)
      var planner = Planner(
        bounds: SymbolSizes(rows: 8, outputs: 8), pageCount: 4, element: .f16)
      (planner.mapsWeights, planner.partBytes) = (maps, partBytes)
      plan = try planner.plan(model.graph, on: [device])
    }

    var source: any WeightSource {
      plan.maps.isEmpty ? file.reader(of: model.graph.weights) : file
    }

    func loop() throws -> EngineLoop {
      try EngineLoop(plan, devices: [device], weights: source, contextLength: 64)
    }
  }

  private func logits(_ loop: EngineLoop) throws -> [[Float]] {
    var rows: [[Float]] = []
    try loop.evaluate([1, 20, 33, 4, 5, 60, 7, 8, 9, 10], wantedFrom: 0) { rows.append(Array($1)) }
    return rows
  }

  @Test func copiedWeightsGiveTheSameLogits() throws {
    let mapped = try Setup(maps: true)
    #expect(mapped.plan.loads.isEmpty && mapped.plan.need(on: 0).mapped == mapped.model.weightBytes)
    let expected = try logits(mapped.loop())
    // Parts of one row, as the smallest, of a few, and of everything.
    for partBytes in [1, 600, 1 << 20] {
      let copied = try Setup(maps: false, partBytes: partBytes)
      #expect(copied.plan.maps.isEmpty)
      #expect(try logits(copied.loop()) == expected)
    }
  }

  @Test func partsCoverAWeightOnce() throws {
    let setup = try Setup(maps: false, partBytes: 600)
    for load in setup.plan.loads {
      #expect(load.parts.flatMap { Array($0) } == Array(0..<load.weight.rows))
      for part in load.parts { #expect(part.lowerBound % Weight.rowsInPart == 0) }
    }
    #expect(setup.plan.loads.contains { $0.parts.count > 2 })
  }

  @Test func thePlanForetellsTheLedger() throws {
    for (maps, partBytes) in [(true, 1 << 20), (false, 1 << 20), (false, 600)] {
      let setup = try Setup(maps: maps, partBytes: partBytes)
      let loop = try setup.loop()
      _ = try logits(loop)
      let need = setup.plan.need(on: 0)
      let use = loop.memory.devices[0]
      #expect(need.buffers == use.buffers && need.staging == use.staging)
      #expect(loop.memory.readBack == setup.plan.readBack)
      // Staging is bounded, whatever the model: a part, or the 16 rows that come together.
      #expect(need.staging <= max(partBytes, 16 * 68))
      let resident = need.buffers + need.mapped
      #expect(setup.plan.peak == resident + max(need.staging, setup.plan.readBack))
    }
  }

  @Test func aMappedFileThatChangesIsRefusedBeforeItIsRead() throws {
    let mapped = try Setup(maps: true)
    let loop = try mapped.loop()
    _ = try logits(loop)
    #expect(truncate(mapped.disk.path, off_t(mapped.file.fileBytes + 1)) == 0)
    let error = #expect(throws: EngineError.self) { try logits(loop) }
    if case .weights? = error {} else { Issue.record("\(String(describing: error))") }

    let copied = try Setup(maps: false)
    let independent = try copied.loop()
    #expect(truncate(copied.disk.path, 10) == 0)
    #expect(try logits(independent).count == 10)
  }

  @Test func aFileThatShrinksWhileItIsCopiedIsAnError() throws {
    let setup = try Setup(maps: false)
    #expect(truncate(setup.disk.path, off_t(setup.file.fileBytes / 2)) == 0)
    let error = #expect(throws: EngineError.self) { try setup.loop() }
    if case .weights? = error {} else { Issue.record("\(String(describing: error))") }
    #expect(setup.device.ledger.current == 0)
  }

  /// Not shorter, so that every part can be read; but the parts may be those of two files.
  @Test func aFileThatIsRewrittenWhileItIsCopiedIsAnError() throws {
    let setup = try Setup(maps: false)
    let source = setup.source
    let loop = try EngineLoop(
      setup.plan, devices: [setup.device], weights: source, contextLength: 64)
    #expect(try logits(loop).count == 10)
    setup.disk.rewrite(try Fixtures.bytes(setup.disk.path))
    let error = #expect(throws: EngineError.self) {
      try EngineLoop(
        setup.plan, devices: [ReferenceDevice()], weights: source, contextLength: 64)
    }
    if case .weights(let reason)? = error {
      #expect(reason.description.contains("written to after it was opened"))
    } else {
      Issue.record("\(String(describing: error))")
    }
    // What was loaded before does not care.
    #expect(try logits(loop).count == 10)
  }

  /// A self-test takes memory on the device before a model does.
  @Test func theLedgerIsTheModelsOwn() throws {
    let setup = try Setup(maps: false)
    let large = BufferID(index: 1 << 20)
    try setup.device.allocate(large, bytes: 1 << 24, label: "a test's own")
    setup.device.release(large)
    let loop = try setup.loop()
    _ = try logits(loop)
    #expect(loop.memory.devices[0].buffers == setup.plan.need(on: 0).buffers)
  }
}

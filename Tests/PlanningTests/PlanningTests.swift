import Devices
import ModelGraph
import Planning
import Tensors
import Testing

/// A device that runs nothing, and declines what a test says.
private final class PaperDevice: Device {
  let traits: DeviceTraits
  let declines: Set<String>
  let scratch: Int
  var ledger: MemoryLedger { MemoryLedger() }

  init(
    _ name: String, declining declines: Set<String> = [], mapped: Bool = false,
    largest: Int = 1 << 30, scratch: Int = 0
  ) {
    traits = DeviceTraits(
      kind: .cpu, name: name, hardware: "paper", driver: "none", largestAllocation: largest,
      alignment: 128, readsMappedWeights: mapped)
    self.declines = declines
    self.scratch = scratch
  }

  func workspaceBytes(_ instruction: Instruction, bounds: SymbolSizes) -> Int {
    if case .attend = instruction.operation { scratch * bounds.rows } else { 0 }
  }

  func support(_ operation: Operation, input: Format) -> Support {
    declines.contains(operation.name)
      ? .declined(reason: "\(operation.name) is not for paper") : .native(variant: "pencil")
  }
  func allocate(_ id: BufferID, bytes: Int, label: String) throws(DeviceError) {}
  func release(_ id: BufferID) {}
  func residentBytes(_ weight: Weight) -> Int { weight.bytes }
  func load(
    _ weight: Weight, rows: Range<Int>, _ bytes: UnsafeRawBufferPointer, to region: Region
  ) throws(DeviceError) {}
  func map(_ bytes: UnsafeRawBufferPointer, as id: BufferID) throws(DeviceError) {}
  func write(_ bytes: UnsafeRawBufferPointer, to region: Region) throws(DeviceError) {}
  func read(_ region: Region, into bytes: UnsafeMutableRawBufferPointer) throws(DeviceError) {}
  func run(_ instructions: [Instruction], sizes: SymbolSizes) throws(DeviceError) {}
}

@Suite struct PlanningTests {
  private func weight(_ name: String, _ rows: Int, _ type: ElementType = .q8_0) throws -> Weight {
    try #require(Weight(name: name, type: type, rows: rows, width: 32))
  }

  /// One layer: norm, q/k/v, rope on q, attention, head.
  private func graph(
    _ activations: ActivationFormat = .int8, window: Int? = nil
  ) throws -> Graph {
    var graph = Graph(layerCount: 1)
    let frequencies = graph.constant("frequencies", [1, 0.5])
    func linear(_ x: ValueID, _ name: String) throws -> ValueID {
      let layer = Linear(weight: try weight(name, 32), activations: activations)
      return try graph.append(.linear(layer), [x], label: name, layer: 0)
    }
    let x = try graph.append(
      .embedRows(EmbedRows(table: try weight("embd", 10))), [graph.tokens], label: "embd")
    let norm = RMSNorm(weight: try weight("norm", 1, .f32), epsilon: 1e-5)
    let normed = try graph.append(.rmsNorm(norm), [x], label: "norm", layer: 0)
    let (q, k, v) = (try linear(normed, "q"), try linear(normed, "k"), try linear(normed, "v"))
    let rope = Rope(
      headCount: 2, headWidth: 16, dimensions: 4, pairing: .halves, frequencies: frequencies)
    let turned = try graph.append(
      .rope(rope), [q, graph.positions], label: "rope_q", layer: 0)
    let attended = try graph.append(
      .attention(
        Attention(headCount: 2, kvHeadCount: 2, headWidth: 16, scale: 0.25, window: window)),
      [turned, k, v], label: "attention", layer: 0)
    let wanted = try graph.append(.selectRows, [attended, graph.outputRows], label: "wanted")
    graph.logits = try graph.append(
      .linear(Linear(weight: try weight("embd", 10), activations: activations)), [wanted],
      label: "head")
    try graph.verify()
    return graph
  }

  private func plan(
    _ graph: Graph, _ devices: [any Device], rows: Int = 8, pages: Int = 4
  ) throws -> ExecutionPlan {
    var planner = Planner(
      bounds: SymbolSizes(rows: rows, outputs: 2), pageCount: pages, element: .f16)
    planner.fuses = false
    return try planner.plan(graph, on: devices)
  }

  @Test func inputsOfIntegerLayersAreQuantisedOnce() throws {
    let plan = try plan(graph(), [PaperDevice("a")])
    #expect(
      plan.placements.map(\.label) == [
        "embd", "norm", "quantize", "q", "k", "v", "rope_q", "write_kv", "attention", "wanted",
        "quantize", "head",
      ])
    let floats = try self.plan(graph(.f32), [PaperDevice("a")])
    #expect(!floats.placements.contains { $0.label == "quantize" })
  }

  /// Which operation wrote each byte of scratch memory.
  private struct Replay {
    private struct Byte: Hashable {
      var device: Int
      var buffer: BufferID
      var offset: Int
    }
    private var writers: [Byte: String] = [:]
    let bounds: SymbolSizes

    init(_ bounds: SymbolSizes) { self.bounds = bounds }

    private func bytes(_ operand: Operand, _ device: Int) -> [Byte] {
      (0..<operand.bytes(bounds)).map {
        Byte(
          device: device, buffer: operand.region.buffer, offset: operand.region.offset + $0)
      }
    }
    mutating func write(_ operand: Operand, on device: Int, by label: String) {
      for byte in bytes(operand, device) { writers[byte] = label }
    }
    func writer(of operand: Operand, on device: Int) -> Set<String?> {
      Set(bytes(operand, device).map { writers[$0] })
    }
  }

  /// Values that live at the same time do not share memory: every operand still holds, to the last
  /// byte, what the operation before it in the graph wrote.
  @Test func scratchIsSharedOnlyByValuesThatDoNotMeet() throws {
    let expected = [
      "norm": ["embd"], "q": ["quantize"], "k": ["quantize"], "v": ["quantize"],
      "rope_q": ["q"], "write_kv": ["k", "v"], "attention": ["rope_q"], "wanted": ["attention"],
      "head": ["quantize"],
    ]
    for devices in [
      [PaperDevice("a")], [PaperDevice("a", declining: ["rope"]), PaperDevice("b")],
      [PaperDevice("a", declining: ["linear"]), PaperDevice("b")],
    ] {
      let plan = try plan(graph(), devices)
      var replay = Replay(plan.bounds)
      var checked = 0
      for step in plan.steps {
        switch step {
        case .transfer(let source, let from, let target, let to):
          let writers = replay.writer(of: source, on: from)
          #expect(writers.count == 1)
          replay.write(target, on: to, by: (writers.first ?? nil) ?? "nobody")
        case .run(let device, let list):
          for instruction in list {
            let operands = instruction.inputs.filter {
              $0.format == .f32 || $0.format == .int8Blocks
            }
            if let labels = expected[instruction.label] {
              for (operand, label) in zip(operands, labels) {
                #expect(replay.writer(of: operand, on: device) == [label], "\(instruction.label)")
                checked += 1
              }
            }
            replay.write(instruction.output, on: device, by: instruction.label)
          }
        }
      }
      #expect(checked == 10)
      let scratch = plan.buffers.filter { $0.purpose == .scratch }.reduce(0) { $0 + $1.bytes }
      // 12 values of 1 KiB, of which few live at once.
      #expect(scratch <= 8 * 1024)
    }
  }

  @Test func weightsThatAreUsedTwiceAreLoadedOnce() throws {
    let plan = try plan(graph(), [PaperDevice("a")])
    #expect(plan.loads.map(\.weight.name) == ["embd", "norm", "q", "k", "v"])
    #expect(plan.maps.isEmpty)
    let mapped = try self.plan(graph(), [PaperDevice("a", mapped: true)])
    #expect(mapped.loads.isEmpty && mapped.maps.count == 5)
    for load in plan.loads { #expect(load.region.offset % 128 == 0) }
  }

  @Test func slabsStayBelowTheLargestAllocation() throws {
    // q, k and v take 1088 bytes each: two fit into one slab, three do not.
    let plan = try plan(graph(), [PaperDevice("a", largest: 2400)], rows: 2, pages: 1)
    let slabs = plan.buffers.filter { $0.purpose == .weights }
    #expect(slabs.count == 3)
    for slab in slabs { #expect(slab.bytes <= 2400) }
    for load in plan.loads {
      let slab = try #require(slabs.first { $0.id == load.region.buffer })
      #expect(load.region.offset + load.weight.bytes <= slab.bytes)
    }
    let error = #expect(throws: PlanningError.self) {
      try self.plan(graph(), [PaperDevice("a", largest: 1000)])
    }
    #expect(error.map { "\($0)".contains("a allows 1000") } == true)
  }

  @Test func whatTheFirstDeclinesGoesToTheNextAndBack() throws {
    let plan = try plan(graph(), [PaperDevice("a", declining: ["rope"]), PaperDevice("b")])
    let rope = try #require(plan.placements.first { $0.label == "rope_q" })
    #expect(rope.device == 1 && rope.declined == ["a: rope is not for paper"])
    #expect(plan.placements.filter { $0.label != "rope_q" }.allSatisfy { $0.device == 0 })
    let transfers = plan.steps.filter { if case .transfer = $0 { true } else { false } }
    #expect(transfers.count == 2)
    #expect(plan.stepBuffers.count == 2)
  }

  @Test func aLayersCacheStaysOnOneDevice() throws {
    let plan = try plan(graph(), [PaperDevice("a", declining: ["attend"]), PaperDevice("b")])
    for label in ["write_kv", "attention"] {
      #expect(plan.placements.first { $0.label == label }?.device == 1)
    }
    let pool = try #require(plan.buffers.first { $0.purpose == .keyValueCache })
    // 4 pages × 2 heads × (keys + values) × 16 tokens × 16 elements × 2 bytes
    #expect(pool.device == 1 && pool.bytes == 4 * 2 * 2 * 16 * 16 * 2)
  }

  @Test func aWindowHasAPlaneOfItsOwn() throws {
    func begin(_ plan: ExecutionPlan) throws -> Int {
      for case .run(_, let list) in plan.steps {
        for instruction in list where instruction.label == "attention" {
          return instruction.inputs[2].region.offset
        }
      }
      throw PlanningError.unplaced(operation: "attention", reasons: [])
    }
    for window in [nil, 3] as [Int?] {
      let plan = try plan(graph(window: window), [PaperDevice("a")])
      let layout = plan.stepLayout
      #expect(layout.planes.filter { if case .begin = $0 { true } else { false } }.count == 1)
      #expect(try begin(plan) == layout.offset(.begin(window: window)))
    }
    // Every plane has its own bytes.
    let both = StepLayout(
      bounds: SymbolSizes(rows: 8, outputs: 2), tableCapacity: 4,
      reading: [.begin(window: nil), .begin(window: 3), .begin(window: 7)])
    let offsets = both.planes.map { both.offset($0) }
    #expect(both.planes.count == 10 && zip(offsets, offsets.dropFirst()).allSatisfy { $0 < $1 })
    #expect(offsets.last.map { $0 + 4 * 4 } == both.bytes)
  }

  @Test func whatNobodyTakesIsAnErrorWithReasons() throws {
    let devices = [
      PaperDevice("a", declining: ["rms_norm"]), PaperDevice("b", declining: ["rms_norm"]),
    ]
    let error = #expect(throws: PlanningError.self) { try plan(graph(), devices) }
    let sentence = error.map { "\($0)" } ?? ""
    #expect(sentence.contains("a: rms_norm") && sentence.contains("b: rms_norm"))
  }

  /// An instruction's scratch memory lies beside what it reads and writes, and is counted.
  @Test func workspacesLieInTheArena() throws {
    let plain = try plan(try graph(), [PaperDevice("paper")])
    let plan = try plan(try graph(), [PaperDevice("paper", scratch: 1000)])
    #expect(plan.need(on: 0).scratch > plain.need(on: 0).scratch)
    var found = 0
    for case .run(_, let instructions) in plan.steps {
      for instruction in instructions {
        guard case .attend = instruction.operation else {
          #expect(instruction.workspace == nil)
          continue
        }
        let workspace = try #require(instruction.workspace)
        let scratch = try #require(plan.buffers.first { $0.purpose == .scratch })
        let place = workspace.offset..<workspace.offset + 8000
        #expect(workspace.buffer == scratch.id && place.upperBound <= scratch.bytes)
        for operand in instruction.inputs + [instruction.output]
        where operand.region.buffer == workspace.buffer {
          let start = operand.region.offset
          #expect(!place.overlaps(start..<start + operand.bytes(plan.bounds)))
        }
        found += 1
      }
    }
    #expect(found == 1)
  }

  /// Scratch memory of attention is flat in the context for long prompts, and for a token it holds the
  /// sums of each span.
  @Test func attentionNeedsLittleScratch() throws {
    let attention = Attention(headCount: 9, kvHeadCount: 3, headWidth: 64, scale: 1)
    let layout = KVLayout(headCount: 3, headWidth: 64, element: .f16)
    func bytes(rows: Int, tokens: Int) -> Int {
      let tables = Operand(
        region: Region(buffer: BufferID(index: 0)), rows: .fixed(tokens / KVLayout.pageTokens),
        width: 1, format: .i32)
      let instruction = Instruction(
        .attend(attention, layout), inputs: [Operand](repeating: tables, count: 6), output: tables,
        label: "attention")
      let bounds = SymbolSizes(rows: rows, outputs: 1)
      return AttentionParts(instruction, bounds: bounds)?.bytes ?? 0
    }
    #expect(bytes(rows: 1, tokens: 512) == 0)
    #expect(bytes(rows: 1, tokens: 8192) == 9 * 16 * 66 * 4)
    #expect(bytes(rows: 512, tokens: 8192) == bytes(rows: 16, tokens: 8192))
    #expect(bytes(rows: 16, tokens: 8192) == 16 * bytes(rows: 1, tokens: 8192))
  }
}

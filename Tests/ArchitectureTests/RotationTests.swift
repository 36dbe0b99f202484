import CPUBackend
import Devices
import GGUF
import ModelGraph
import Models
import OpenCLBackend
import Planning
import ReferenceBackend
import Runtime
import Tensors
import TestSupport
import Testing

/// Rotated keys and values on whole models.
@Suite(.serialized) struct RotationTests {
  private static let tokens: [Int32] = (0..<70).map { Int32(($0 * $0 + 3 * $0) % 89) }

  private func logits(
    _ model: RandomModel, _ activations: ActivationFormat, _ element: KVLayout.Element,
    rotates: Bool, rows: Int, on device: any Device
  ) throws -> [[Float]] {
    let disk = TemporaryFile(model.encoded())
    let file = try GGUFFile(path: disk.path)
    var planner = Planner(
      bounds: SymbolSizes(rows: rows, outputs: rows), pageCount: 8, element: element)
    planner.rotates = rotates
    let plan = try planner.plan(Model(file, activations: activations).graph, on: [device])
    let loop = try EngineLoop(plan, devices: [device], weights: file, contextLength: 128)
    var result: [[Float]] = []
    try loop.evaluate(Self.tokens, wantedFrom: 0) { result.append(Array($1)) }
    return result
  }

  /// In single precision a rotation is nothing but rounding, in every architecture.
  @Test(arguments: RandomModel.Flavour.architectures)
  func rotationChangesNothing(flavour: RandomModel.Flavour) throws {
    let model = RandomModel(flavour: flavour, type: .f32)
    for device in [CPUDevice(threads: 1), ReferenceDevice()] as [any Device] {
      func run(_ rotates: Bool) throws -> [[Float]] {
        try logits(model, .f32, .f32, rotates: rotates, rows: 16, on: device)
      }
      let (plain, rotated) = (try run(false), try run(true))
      #expect(plain != rotated)
      let most = plain.joined().reduce(0) { max($0, abs($1)) }
      for (a, b) in zip(plain.joined(), rotated.joined()) {
        #expect(abs(a - b) <= 1e-5 * max(1, most))
      }
    }
  }

  /// Codes of rotated heads have the same bits on every device, for prompts and token by token.
  @Test(arguments: [KVLayout.Element.q8, .q4, .k4v2])
  func devicesAgree(element: KVLayout.Element) throws {
    let model = RandomModel(flavour: .llama, type: .q4_1)
    let found = OpenCLDevices.list().devices.filter {
      $0.platform != "Oclgrind" && $0.platform != "rusticl"
    }
    for rotates in [false, true] {
      let wanted = try logits(
        model, .int8, element, rotates: rotates, rows: 64, on: ReferenceDevice())
      for device in [CPUDevice(threads: 2)] + (try found.map { try OpenCLDevice(index: $0.index) })
        as [any Device]
      {
        for rows in [1, 64] {
          let actual = try logits(model, .int8, element, rotates: rotates, rows: rows, on: device)
          #expect(actual == wanted, "\(device.traits.name), \(rows) rows, rotated: \(rotates)")
        }
      }
    }
  }
}

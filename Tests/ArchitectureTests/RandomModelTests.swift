import CPUBackend
import Devices
import DiskCache
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

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Every architecture with every type of matrices, as models of random weights, against llama.cpp
/// (`tools/golden/tiny.py`) and across devices.
@Suite(.serialized) struct RandomModelTests {
  private struct Golden: Decodable {
    struct Figures: Decodable {
      var argmax: [Int32]
      var log_probs: [[Double]]
    }
    var tokens: [Int32]
    var context: Int
    var positions: [Int]
    var sample: [Int]
    var models: [String: Figures]
  }

  private struct Manifest: Decodable { var models: [String: String] }

  /// Devices that must agree: every OpenCL device but the interpreter, which is too slow, and the CPU.
  private func devices() throws -> [any Device] {
    let found = OpenCLDevices.list().devices.filter { $0.platform != "Oclgrind" }
    return [CPUDevice()] + (try found.map { try OpenCLDevice(index: $0.index) })
  }

  /// Logits of every token.
  private func logits(
    _ file: GGUFFile, _ activations: ActivationFormat, _ tokens: [Int32], on device: any Device
  ) throws -> [[Float]] {
    let model = try Model(
      file, activations: activations, contextLength: RandomModel.contextLength)
    let plan = try Planner(
      bounds: SymbolSizes(rows: tokens.count, outputs: tokens.count),
      pageCount: RandomModel.contextLength / KVLayout.pageTokens,
      element: activations == .f32 ? .f32 : .f16
    ).plan(model.graph, on: [device, ReferenceDevice()])
    let loop = try EngineLoop(
      plan, devices: [device, ReferenceDevice()], weights: file,
      contextLength: RandomModel.contextLength)
    var rows: [[Float]] = []
    try loop.evaluate(tokens, wantedFrom: 0) { rows.append(Array($1)) }
    return rows
  }

  private func logProbs(_ logits: [Float]) -> [Double] {
    let most = Double(logits.max() ?? 0)
    let total = logits.reduce(0) { $0 + exp(Double($1) - most) }
    return logits.map { Double($0) - most - log(total) }
  }

  /// Largest difference from llama.cpp in nats that passes. Both compute in single precision, in other
  /// orders: at most 2e-5 was seen. llama.cpp looks GELU up in a table of half-precision numbers, whose
  /// steps are 5e-4 of a value: at most 1.4e-3 was seen, on the reference and on every device alike.
  private func tolerance(_ model: RandomModel) -> Double {
    model.flavour == .gemma3 ? 0.005 : 0.0001
  }

  /// How many tokens a device takes. The reference is slow, and so is rusticl, which runs a model in
  /// two seconds where others take a tenth; what is said of the first tokens does not depend on later
  /// ones. In single precision they are more than a sliding window has.
  private func tokenCount(_ device: any Device, _ activations: ActivationFormat) -> Int {
    let isSlow =
      device.traits.kind == .reference || device.traits.driver.hasPrefix("rusticl")
    return isSlow ? (activations == .f32 ? 26 : 12) : .max
  }

  /// Whether a device runs a model. rusticl builds kernels anew for each model: it runs every type and every flavour, but
  /// not each of one with each of the other.
  private func runs(_ model: RandomModel, on device: any Device) -> Bool {
    !device.traits.driver.hasPrefix("rusticl") || model.flavour == .llama || model.type == .f32
      || model.type == .q8_0
  }

  /// How far log-probabilities are from llama.cpp's.
  private func distance(
    _ rows: [[Float]], _ golden: Golden, _ figures: Golden.Figures
  ) -> (worst: Double, gap: Double) {
    var (worst, gap) = (0.0, 0.0)
    for (index, position) in golden.positions.enumerated() where position < rows.count {
      let mine = logProbs(rows[position])
      for (token, theirs) in zip(golden.sample, figures.log_probs[index]) {
        let difference = abs(mine[token] - theirs)
        // Not a number is as far away as can be.
        worst = difference.isNaN ? .infinity : max(worst, difference)
      }
      gap = max(gap, (mine.max() ?? 0) - mine[Int(figures.argmax[index])])
    }
    return (worst, gap)
  }

  /// One test for all, since a driver takes its time to build kernels for a new device.
  @Test func everyModelIsLlamaCppsOnEveryDevice() throws {
    let golden = try Fixtures.decode(Golden.self, "tiny/tiny.json")
    let sums = try Fixtures.decode(Manifest.self, "tiny/MANIFEST.json").models
    let devices = [ReferenceDevice()] + (try devices())
    let clock = ContinuousClock()
    var seconds: [String: Duration] = [:]
    var furthest: [String: Double] = [:]
    var compared: [String: Int] = [:]
    for model in RandomModel.all {
      let bytes = model.encoded()
      #expect(SHA256.hex(bytes) == sums["\(model)"], "\(model) is another file than llama.cpp saw")
      let disk = TemporaryFile(bytes)
      let file = try GGUFFile(path: disk.path)
      let figures = try #require(golden.models["\(model)"])
      var int8: [[[Float]]] = []
      let takers = devices.filter { runs(model, on: $0) }
      for device in takers {
        let name = device.traits.driver
        func run(_ activations: ActivationFormat) throws -> [[Float]] {
          let tokens = golden.tokens.prefix(tokenCount(device, activations))
          return try logits(file, activations, Array(tokens), on: device)
        }
        let start = clock.now
        let (worst, gap) = distance(try run(.f32), golden, figures)
        // Float matrices are summed in the order of each device, so only quantised ones give its bits.
        if model.type.isQuantized { int8.append(try run(.int8)) }
        seconds[name, default: .zero] += clock.now - start
        let kind = model.flavour == .gemma3 ? "gemma3" : "others"
        furthest[kind] = max(furthest[kind] ?? 0, worst)
        compared[name, default: 0] += 1
        #expect(worst < tolerance(model), "\(model) on \(name)")
        #expect(gap < 2 * tolerance(model), "the likeliest token of \(model) on \(name)")
      }
      guard let reference = int8.first else { continue }
      for (device, rows) in zip(takers, int8).dropFirst() {
        let name = "\(model) on \(device.traits.driver)"
        #expect(rows.prefix(reference.count) == reference[...], "\(name) and the reference")
        #expect(rows[...] == int8[1].prefix(rows.count), "\(name) and the CPU")
      }
    }
    #expect(RandomModel.all.count == 84 && compared.count == devices.count)
    for (name, count) in compared { #expect(count == (name.hasPrefix("rusticl") ? 28 : 84)) }
    print("random models: at most \(furthest) nats from llama.cpp; \(seconds)")
  }

  /// Not a test of anything: writes the models for `tools/golden/tiny.py`.
  @Test(.enabled(if: environment("APUS_WRITE_TINY") != nil, "APUS_WRITE_TINY is unset"))
  func writesTheModels() throws {
    let folder = try #require(environment("APUS_WRITE_TINY"))
    for model in RandomModel.all {
      let target = URL(filePath: "\(folder)/\(model).gguf")
      try Data(model.encoded()).write(to: target)
    }
  }

  @Test func sumsAreThoseOfTheStandard() {
    #expect(
      SHA256.hex(Array("abc".utf8))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      SHA256.hex([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(
      SHA256.hex([UInt8](repeating: 97, count: 1000))
        == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3")
  }
}

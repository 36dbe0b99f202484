import Devices
import ModelGraph
import OpSuite
import OpenCLBackend
import Tensors
import Testing

private let listing = OpenCLDevices.list()
private let absence: Comment = "no OpenCL device: \(listing.reason ?? "")"

/// Rows of the kernel table with values that a tuning gives them, on real drivers.
@Suite(.serialized) struct TuningTests {
  private func choice(
    _ operation: String, _ rows: Tuning.Rows, _ variant: String, _ settings: (String, Int)...
  ) -> Tuning.Choice {
    Tuning.Choice(
      operation: operation, rows: rows, variant: variant,
      settings: settings.map { Tuning.Setting($0.0, $0.1) })
  }

  private func linear(_ type: ElementType, width: Int = 256) throws -> Operation {
    let weight = try #require(Weight(name: "w", type: type, rows: 32, width: width))
    return .pure(.linear(Linear(weight: weight, activations: .int8)))
  }

  private func words(_ device: OpenCLDevice, _ operation: Operation, _ input: Format) -> String {
    guard case .native(let variant) = device.support(operation, input: input) else { return "" }
    return variant
  }

  /// Every value of every parameter gives the reference's results, for a type of each kind.
  @Test(
    .enabled(if: !listing.devices.isEmpty, absence),
    arguments: listing.devices.filter { $0.platform != "Oclgrind" })
  func everyValuePasses(_ description: OpenCLDevices.Description) throws {
    let device = try OpenCLDevice(index: description.index)
    var tried = 0
    // rusticl builds slowly; its rows are those of all types.
    let types: [ElementType] = description.platform == "rusticl" ? [.q4_0] : [.q4_1, .q6_K, .f16]
    for type in types {
      let operation = try linear(type)
      let input: Format = type.isQuantized ? .int8Blocks : .f32
      let key = OperationKey(operation, input: input)
      for rows in Tuning.Rows.allCases {
        let variants = device.variants(of: operation, input: input, rows: rows)
        let first = try #require(variants.first)
        // The others serve one row too, but nobody means them to. rusticl gives NaN with the plain 32×6, from
        // four tokens on and for long rows; it takes other rows, and a tuner's check, which is this one, refuses.
        for variant in rows == .one || description.platform == "rusticl" ? [first] : variants {
          for tunable in variant.tunables {
            for value in tunable.values where value != tunable.standard {
              device.use(
                Tuning([choice(key.description, rows, variant.name, (tunable.name, value))]))
              let title = "\(key) \(variant.name) \(tunable.name)=\(value)"
              #expect(
                words(device, operation, input).contains("tuned \(tunable.name)=\(value)"),
                "\(title)")
              #expect(OpSuite.failure(of: key, on: device) == nil, "\(title)")
              tried += 1
            }
          }
        }
      }
    }
    #expect(tried > 0)
    #expect(device.ledger.current == 0)
  }

  /// What is for one row serves one row, and what is for many serves many; kernels fused from a layer
  /// follow it; and all is as before when the tuning is taken back.
  @Test(
    .enabled(if: !listing.devices.isEmpty, absence),
    arguments: listing.devices.filter { !$0.features.isDisjoint(with: [.vnni, .avx2]) })
  func choicesServeTheirLaunches(_ description: OpenCLDevices.Description) throws {
    let device = try OpenCLDevice(index: description.index)
    let operation = try linear(.q4_0)
    let plain = words(device, operation, .int8Blocks)
    let name = "linear Q4_0 × int8"
    let (one, many, tokens) = rows(description)
    device.use(
      Tuning([
        choice(name, .one, one, ("PREFETCH", 4096)), choice(name, .many, many, ("TOKENS", tokens)),
      ]))
    let tuned = words(device, operation, .int8Blocks)
    #expect(tuned.contains("\(one) tuned PREFETCH=4096"))
    #expect(tuned.contains("\(many) tuned TOKENS=\(tokens)"))
    #expect(OpSuite.cases.contains { $0.key.description == "gated_unit Q4_0 × norm" })
    for test in OpSuite.cases where test.key.type.hasPrefix("Q4_0 ") && test.isTiny {
      if ["gated_unit", "attention_inputs", "linear_add"].contains(test.key.name) {
        let words = words(device, test.operation, .f32) + words(device, test.operation, .int8Blocks)
        #expect(words.contains("tuned PREFETCH=4096"), "\(test.key)")
      }
    }
    // Rows of a launch decide: records name the kernel that ran.
    for (rows, part) in [(1, "PREFETCH=4096"), (3, "TOKENS=\(tokens)")] {
      #expect(try variants(device, operation, rows: rows).allSatisfy { $0.contains(part) })
    }
    device.use(Tuning())
    #expect(words(device, operation, .int8Blocks) == plain)
  }

  /// The rows with assembly that a device prefers, for one token and for many, and a number of tokens that is
  /// not the standard of the second.
  private func rows(
    _ description: OpenCLDevices.Description
  ) -> (one: String, many: String, tokens: Int) {
    description.features.contains(.vnni)
      ? ("vnni 16×1", "vnni 32×4", 8) : ("avx2 16×1", "avx2 16×64", 32)
  }

  /// Names of the kernels that a launch of so many rows took.
  private func variants(
    _ device: OpenCLDevice, _ operation: Operation, rows: Int
  ) throws -> [String] {
    let test = try #require(
      OpSuite.timingCases.first {
        $0.rows == (rows == 1 ? 1 : 512) && $0.title.contains("SmolLM2 attn_k")
          && $0.key == OperationKey(operation, input: .int8Blocks)
      })
    try device.startRecording()
    let rounds = try #require(try test.rounds(on: device))
    _ = try rounds.run()
    let names = try device.takeRecords().map(\.variant)
    try device.stopRecording()
    rounds.release()
    #expect(!names.isEmpty)
    return names
  }

  /// A tuned kernel that is wrong gives way to the one that is built in.
  @Test(
    .enabled(if: !listing.devices.isEmpty, absence),
    arguments: listing.devices.filter { !$0.features.isDisjoint(with: [.vnni, .avx2]) })
  func fallsBackToWhatIsBuiltIn(_ description: OpenCLDevices.Description) throws {
    let device = try OpenCLDevice(index: description.index)
    let operation = try linear(.q4_0)
    let plain = words(device, operation, .int8Blocks)
    device.use(
      Tuning([
        choice(
          "linear Q4_0 × int8", .many, rows(description).many, ("TOKENS", rows(description).tokens))
      ]))
    #expect(device.fallBack(operation, input: .int8Blocks, reason: "it is wrong"))
    let after = words(device, operation, .int8Blocks)
    #expect(after == plain + "; without tuning: it is wrong")
  }

  /// A choice that the table does not know, or that the device has no feature for, changes nothing.
  @Test(.enabled(if: !listing.devices.isEmpty, absence))
  func unknownChoicesAreNoChoices() throws {
    let device = try OpenCLDevice(index: 0, features: [])
    let operation = try linear(.q4_0)
    let plain = words(device, operation, .int8Blocks)
    for wrong in [
      choice("linear Q4_0 × int8", .many, "vnni 32×4", ("TOKENS", 8)),
      choice("linear Q4_0 × int8", .many, "32×6", ("TOKENS", 7)),
      choice("linear Q4_0 × int8", .many, "32×6", ("ROWS", 4)),
      choice("linear Q4_0 × int8", .many, "nothing"), choice("dance", .one, "16×1"),
      choice("linear Q4_0 × int8", .many, "16×1"),
    ] {
      device.use(Tuning([wrong]))
      #expect(words(device, operation, .int8Blocks) == plain, "\(wrong)")
    }
    #expect(KernelTable.row(of: choice("linear Q4_0 × int8", .many, "32×6", ("TOKENS", 7))) == nil)
    #expect(KernelTable.row(of: choice("linear Q4_0 × int8", .many, "32×6", ("TOKENS", 8))) != nil)
  }

  /// The groups are of operations that devices tell apart, each once.
  @Test func groupsAreWhole() {
    let groups = OpSuite.tuningGroups
    #expect(groups.count > 30)
    #expect(Set(groups.map { "\($0.key) \($0.isForMany)" }).count == groups.count)
    for group in groups {
      #expect(!group.cases.isEmpty && group.cases.allSatisfy { $0.key == group.key })
      #expect(group.cases.allSatisfy { ($0.rows > 1) == group.isForMany })
      #expect(OpSuite.cases.contains { $0.key == group.key }, "\(group.key) can be checked")
    }
  }
}

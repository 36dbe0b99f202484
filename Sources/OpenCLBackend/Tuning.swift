/// What was found to be fastest on a device: which row of the kernel table serves launches of an
/// operation, and with which values of its parameters. Whoever hands it over knows where it is kept.
package struct Tuning: Sendable, Hashable {
  package var choices: [Choice]

  package init(_ choices: [Choice] = []) { self.choices = choices }

  /// Which launches of an operation a choice is for.
  package enum Rows: String, Sendable, Hashable, CaseIterable {
    /// Those of one row: a token that is generated.
    case one
    /// All others: prompts.
    case many
  }

  /// A parameter and its value.
  package struct Setting: Sendable, Hashable, CustomStringConvertible {
    package var name: String
    package var value: Int

    package init(_ name: String, _ value: Int) { (self.name, self.value) = (name, value) }

    package var description: String { "\(name)=\(value)" }
  }

  /// A row of the kernel table with values.
  package struct Choice: Sendable, Hashable, CustomStringConvertible {
    /// Operation and element type, as an `OperationKey` names them.
    package var operation: String
    package var rows: Rows
    package var variant: String
    /// What differs from the row as it stands.
    package var settings: [Setting]

    package init(
      operation: String, rows: Rows, variant: String, settings: [Setting] = []
    ) {
      self.operation = operation
      self.rows = rows
      self.variant = variant
      self.settings = settings
    }

    package var description: String {
      "\(operation) | \(rows.rawValue) | \(variant) | "
        + settings.map(\.description).joined(separator: " ")
    }
  }
}

/// A parameter of a kernel's program, or of its launch, that changes how fast it is and nothing else.
package struct Tunable: Sendable, Hashable {
  package var name: String
  /// What it may be. `standard` is among it.
  package var values: [Int]
  /// What it is in a device that is not tuned.
  package var standard: Int
  /// What follows from it.
  var effect = Effect.none

  package init(name: String, values: [Int], standard: Int) {
    self.init(name: name, values: values, standard: standard, effect: .none)
  }

  init(name: String, values: [Int], standard: Int, effect: Effect) {
    self.name = name
    self.values = values
    self.standard = standard
    self.effect = effect
  }

  enum Effect: Sendable, Hashable {
    case none
    /// Steps along an index of the launch are so many units for each.
    case x(Int)
    case y(Int)
    /// It is no define, but the work-items of a work-group.
    case groupWidth
  }
}

extension KernelRow {
  /// What may be chosen of it, by the program that it runs.
  package var tunables: [Tunable] {
    let isForOne = rowLimit == 1
    func number(_ name: String) -> Int? {
      for define in defines where define.name == name {
        if case .number(let number) = define.value { return number }
      }
      return nil
    }
    func tile(_ name: String, _ values: [Int], _ effect: Tunable.Effect) -> [Tunable] {
      guard let standard = number(name) else { return [] }
      return [
        Tunable(
          name: name, values: Set(values + [standard]).sorted(), standard: standard,
          effect: effect)
      ]
    }
    // How far ahead weights are asked for; without assembly few drivers are known to pass that on.
    let ahead =
      needs?.isAssembly == true
      ? [Tunable(name: "PREFETCH", values: [2048, 4096, 8192, 12288], standard: 8192)] : []
    switch program {
    case "gemm/linear_int8":
      if needs == .avx2, !isForOne { return tile("TOKENS", [32, 64, 128], .y(1)) }
      if number("UNPACKS") == 1 {
        return tile("TOKENS", [24, 48, 96], .y(1)) + tile("MEET", [2, 4, 6], .none)
      }
      return isForOne
        ? ahead : tile("TILES", [1, 2], .x(16)) + tile("TOKENS", [2, 4, 6, 8], .y(1))
    case "gemm/linear_float":
      return tile("TILE_OUTPUTS", [2, 4, 8], .x(1))
        + (isForOne ? [] : tile("TILE_TOKENS", [2, 4, 8], .y(1)))
    case "gemm/linear_lanes":
      let width = Tunable(
        name: "GROUP_WIDTH", values: [32, 64, 128, 256], standard: groupWidth ?? 32,
        effect: .groupWidth)
      return [width] + (isForOne ? [] : tile("TOKENS", [4, 8, 16], .y(1)))
    case "fused/gated_unit", "fused/attention_inputs": return ahead
    default: return []
    }
  }

  /// The row with values of its own; nil where one is none of those that it may have.
  func tuned(_ settings: [Tuning.Setting]) -> KernelRow? {
    var row = self
    for setting in settings {
      guard let tunable = tunables.first(where: { $0.name == setting.name }),
        tunable.values.contains(setting.value)
      else { return nil }
      switch tunable.effect {
      case .groupWidth: row.groupWidth = setting.value
      case .x(let unit): row.x.step = unit * setting.value
      case .y(let unit): row.y.step = unit * setting.value
      case .none: break
      }
      if tunable.effect == .groupWidth { continue }
      let define = Define(setting.name, setting.value)
      if let index = row.defines.firstIndex(where: { $0.name == setting.name }) {
        row.defines[index] = define
      } else {
        row.defines.append(define)
      }
    }
    row.settings = settings
    row.variant = (["\(variant) tuned"] + settings.map(\.description)).joined(separator: " ")
    return row
  }

  /// Whether it may serve such launches.
  func serves(_ rows: Tuning.Rows) -> Bool {
    then == nil && !isSequel && (rows == .one ? leastRows <= 1 : rowLimit > 1)
  }
}

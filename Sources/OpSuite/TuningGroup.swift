package import Devices

/// Cases whose times together decide how an operation is best run, for one row or for many.
package struct TuningGroup: Sendable {
  package let key: OperationKey
  /// Whether it is about launches of many rows.
  package let isForMany: Bool
  /// At least one; all of one operation on one type, at sizes of different models.
  package let cases: [TimingCase]
}

extension OpSuite {
  /// What there is to tune, the types that models have most often first.
  package static var tuningGroups: [TuningGroup] {
    var groups: [TuningGroup] = []
    for key in keysByUse {
      for isForMany in [false, true] {
        let cases = timingCases.filter { $0.key == key && ($0.rows > 1) == isForMany }
        let chosen = representatives(cases)
        guard !chosen.isEmpty else { continue }
        groups.append(TuningGroup(key: key, isForMany: isForMany, cases: chosen))
      }
    }
    return groups
  }

  /// Keys of timing cases without repetition.
  private static var keysByUse: [OperationKey] {
    let types = [
      "f16", "Q4_K", "Q4_0", "Q8_0", "Q6_K", "Q4_1", "Q5_K", "Q5_0", "F16", "BF16", "IQ4_NL",
      "IQ4_XS", "Q3_K", "MXFP4", "Q5_1", "Q2_K", "F32",
    ]
    var seen: Set<OperationKey> = []
    let keys = timingCases.map(\.key).filter { seen.insert($0).inserted }
    func place(_ key: OperationKey) -> Int {
      types.firstIndex { key.type == $0 || key.type.hasPrefix("\($0) ") } ?? types.count
    }
    return keys.enumerated().sorted {
      (place($0.element), $0.offset) < (place($1.element), $1.offset)
    }.map(\.element)
  }

  /// A wide and a tall matrix of the smallest model that has them, or attention of small heads and of
  /// large ones.
  private static func representatives(_ cases: [TimingCase]) -> [TimingCase] {
    let layers = [" ffn_up", " ffn_down"].compactMap { label in
      cases.first { $0.title.contains(label) }
    }
    if !layers.isEmpty { return layers }
    let tokens = cases.contains { $0.rows > 1 } ? "of 512" : "of 2048"
    let attention = cases.filter { $0.title.hasSuffix(tokens) }
    return attention.count > 1 ? [attention[0], attention[attention.count - 1]] : attention
  }

  /// Why an operation of a device is wrong as it stands, or nil where it computes what the reference does.
  package static func failure(of key: OperationKey, on device: any Device) -> String? {
    for test in cases where test.key == key {
      switch test.check(on: device) {
      case .passed, .declined: continue
      case .wrong(let reason, let error): return "\(test.title): \(reason), error \(error)"
      case .failed(let error): return "\(test.title): \(error)"
      }
    }
    return nil
  }
}

package import Devices

/// Every operation, element type and awkward shape, described once.
package enum OpSuite {
  /// Default tolerance: a device that rounds elsewhere than the reference stays far below; a lost
  /// element or a wrong scale does not.
  static let tolerance = 1e-7

  /// All cases, grouped by operation.
  package static let cases: [OpCase] =
    embedCases() + normCases() + linearCases() + quantizeCases() + ropeCases() + rotateCases()
    + pointwiseCases() + selectCases() + writeCases() + copyCases() + pageCases() + columnCases()
    + tokenCases()
    + attendCases() + fusedCases()

  /// One row of the report of `apus devices --check`.
  package struct Row: Sendable {
    package let key: OperationKey
    package var cases = 0
    /// Worst error of the cases that passed.
    package var worstError = 0.0
    /// The first case that did not pass, and why.
    package var failure: String?
    /// Why the device does not run the operation.
    package var declined: String?
    /// Whether it is a fused operation: who declines that runs its parts.
    package var isFused = false
    /// What was wrong with kernels that the device then went on without.
    package var fallBacks: [String] = []
  }

  /// Runs cases on a device and sums them up, a row for each operation and type. Where one does not
  /// pass, the device falls back to a plainer kernel if it has one, and the cases run again.
  ///
  /// - Parameters:
  ///   - device: The device under test.
  ///   - keys: Only these, or nil for all.
  ///   - tinyOnly: Only cases that an interpreter finishes soon.
  /// - Returns: The rows, in the order of the cases.
  package static func check(
    _ device: any Device, keys: Set<OperationKey>? = nil, tinyOnly: Bool = false
  ) -> [Row] {
    rows(device, keys: keys, tinyOnly: tinyOnly).map { row in
      var row = row
      while let reason = row.failure, let test = cases.first(where: { $0.key == row.key }),
        device.fallBack(test.operation, input: test.format, reason: reason)
      {
        guard var again = rows(device, keys: [row.key], tinyOnly: tinyOnly).first else { break }
        again.fallBacks = row.fallBacks + [reason]
        row = again
      }
      return row
    }
  }

  private static func rows(
    _ device: any Device, keys: Set<OperationKey>?, tinyOnly: Bool
  ) -> [Row] {
    var rows: [Row] = []
    for test in cases where !tinyOnly || test.isTiny {
      if let keys, !keys.contains(test.key) { continue }
      let index = rows.firstIndex { $0.key == test.key } ?? rows.count
      if index == rows.count { rows.append(Row(key: test.key, isFused: !test.parts.isEmpty)) }
      rows[index].cases += 1
      switch test.check(on: device) {
      case .passed(let error):
        rows[index].worstError = max(rows[index].worstError, error)
      case .declined(let reason):
        rows[index].declined = reason
      case .wrong(let reason, let error):
        rows[index].failure = rows[index].failure ?? "\(test.title): \(reason), error \(error)"
      case .failed(let error):
        rows[index].failure = rows[index].failure ?? "\(test.title): \(error)"
      }
    }
    return rows
  }
}

import Devices
import OpSuite
import ReferenceBackend
import Testing

@Suite struct OpSuiteTests {
  @Test func referencePassesItsOwnCases() {
    for row in OpSuite.check(ReferenceDevice()) {
      #expect(row.failure == nil, "\(row.key)")
      #expect(row.declined == nil, "\(row.key)")
    }
  }

  @Test func everyOperationAndTypeHasATinyCase() {
    let all = Set(OpSuite.cases.map(\.key))
    let tiny = Set(OpSuite.cases.filter(\.isTiny).map(\.key))
    #expect(all == tiny)
    #expect(all.count >= 18)
  }
}

import CPUKernels

/// The host's processor, for reports.
package enum Processor {
  /// The brand that it reports, or the architecture's name.
  package static var name: String { String(cString: cpu_brand()) }

  /// CPUs that this process may use: as many threads as a device takes where nobody says.
  package static var usableCPUs: Int { Int(cpu_online()) }
}

import COpenCL
import Devices

/// Turns statuses into errors of one device.
struct CallCheck {
  var device: String

  /// Throws where a call failed.
  func check(
    _ status: cl_int, _ call: String, _ detail: @autoclosure () -> String
  ) throws(DeviceError) {
    guard status != CL_SUCCESS else { return }
    throw DeviceError(
      device: device, call: call, status: OpenCLDevices.name(of: status), detail: detail())
  }

  /// The object that a create call made, or throws.
  func made<Object>(
    _ object: Object?, _ status: cl_int, _ call: String, _ detail: @autoclosure () -> String
  ) throws(DeviceError) -> Object {
    guard let object else {
      throw DeviceError(
        device: device, call: call, status: OpenCLDevices.name(of: status), detail: detail())
    }
    return object
  }
}

/// The indices over which one launch runs.
struct LaunchRange {
  /// Units of the first index that a work-item takes.
  let each: Int
  let x: Int
  let y: Int
  private let groupWidth: Int?

  /// The range of a launch. `items` is how many work-items keep the device busy, or nil where more
  /// are always better.
  init(_ row: KernelRow, _ measures: Measures, items: Int?) {
    func steps(_ extent: Extent) -> Int {
      (measures[extent.measure] + extent.step - 1) / extent.step
    }
    let all = steps(row.x)
    y = steps(row.y)
    var many = 1
    if row.x.spreads, let items { many = max(1, all * y / items) }
    // Wide enough for one row of tiles, however many rows there are.
    many = min(many, max(1, all))
    each = many * row.x.step
    groupWidth = row.groupWidth
    let width = groupWidth ?? 1
    x = ((all + many - 1) / many + width - 1) / width * width
  }

  /// Whether work-items know nothing of each other.
  var isLoose: Bool { groupWidth == nil }

  /// Enqueues the launch. On a CPU a work-group is one work-item, which is already a vector: with
  /// other sizes some drivers compile anew for each. Elsewhere the driver chooses.
  func enqueue(
    _ kernel: cl_kernel, on queue: cl_command_queue, singly: Bool,
    event: UnsafeMutablePointer<cl_event?>? = nil
  ) -> cl_int {
    let global = [x, y]
    if let groupWidth {
      return apus_cl_enqueue_kernel(queue, kernel, 2, global, [groupWidth, 1], event)
    }
    guard singly else { return apus_cl_enqueue_kernel(queue, kernel, 2, global, nil, event) }
    return apus_cl_enqueue_kernel(queue, kernel, 2, global, [1, 1], event)
  }
}

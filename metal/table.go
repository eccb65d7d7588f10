package metal

// Everything of Apple's API this package touches is declared in this file: classes, selectors with their types, enum
// constants. A test compares each with facts extracted from Apple's own headers.

// class indexes api.classes.
type class int

const (
	classNSString class = iota
	classNSDictionary
	classNSURL
	classCompileOptions
	classFunctionConstantValues
	classComputePipelineDescriptor
	classCaptureManager
	classCaptureDescriptor
	classResidencySetDescriptor
	numClasses
)

// classNames: a class the running OS lacks is nil, which is an error only for the call that needs it.
var classNames = [numClasses]string{
	classNSString:                  "NSString",
	classNSDictionary:              "NSDictionary",
	classNSURL:                     "NSURL",
	classCompileOptions:            "MTLCompileOptions",
	classFunctionConstantValues:    "MTLFunctionConstantValues",
	classComputePipelineDescriptor: "MTLComputePipelineDescriptor",
	classCaptureManager:            "MTLCaptureManager",
	classCaptureDescriptor:         "MTLCaptureDescriptor",
	classResidencySetDescriptor:    "MTLResidencySetDescriptor",
}

// selector indexes api.sels.
type selector int

const (
	selAlloc selector = iota
	selInit
	selRetain
	selRelease
	selAutorelease
	selRespondsToSelector

	selStringWithUTF8String
	selUTF8String
	selArrayCount
	selArrayObjectAtIndex
	selDictionaryWithObjects
	selFileURLWithPath
	selErrorCode
	selErrorDomain
	selErrorDescription

	selDeviceName
	selDeviceRegistryID
	selDeviceSupportsFamily
	selDeviceUnifiedMemory
	selDeviceWorkingSet
	selDeviceThreadgroupMemory
	selDeviceMaxBufferLength
	selDeviceAllocatedSize
	selDeviceLowPower
	selDeviceHeadless
	selDeviceRemovable
	selDeviceNewLibrary
	selDeviceNewPipeline
	selDeviceNewBuffer
	selDeviceNewBufferNoCopy
	selDeviceNewQueue
	selDeviceNewResidencySet

	selOptionsLanguageVersion
	selOptionsFastMath
	selOptionsMathMode
	selOptionsMacros

	selConstantAtIndex
	selConstantWithName

	selLibrarySetLabel
	selLibraryFunctionNames
	selLibraryNewFunction

	selPipelineDescSetFunction
	selPipelineDescSetLabel
	selPipelineDescSetMaxThreads
	selPipelineDescSetMultiple
	selPipelineMaxThreads
	selPipelineExecutionWidth
	selPipelineStaticMemory

	selBufferContents
	selBufferGPUAddress
	selResourceSetLabel
	selResourceAllocatedSize

	selQueueSetLabel
	selQueueCommandBuffer
	selQueueAddResidencySet
	selQueueRemoveResidencySet

	selCommandSetLabel
	selCommandEncoder
	selCommandCommit
	selCommandAddCompletedHandler
	selCommandStatus
	selCommandError
	selCommandGPUStart
	selCommandGPUEnd
	selCommandUseResidencySet

	selEncoderSetLabel
	selEncoderEnd
	selEncoderPushDebugGroup
	selEncoderPopDebugGroup
	selEncoderSetPipeline
	selEncoderSetBuffer
	selEncoderSetBytes
	selEncoderSetThreadgroupMemory
	selEncoderDispatchThreadgroups
	selEncoderDispatchThreads
	selEncoderBarrierScope
	selEncoderBarrierResources

	selCaptureShared
	selCaptureSupports
	selCaptureIsCapturing
	selCaptureStart
	selCaptureStop
	selCaptureDescSetObject
	selCaptureDescSetDestination
	selCaptureDescSetURL

	selSetDescLabel
	selSetDescCapacity
	selSetAdd
	selSetRemove
	selSetRemoveAll
	selSetCommit
	selSetRequest
	selSetEnd
	selSetAllocatedSize
	selSetCount
	numSelectors
)

// method declares a selector: the class that has it (as metal-cpp names it: NSReferencing is NSObject's memory half),
// whether it is a class method, and its type: result, then arguments, in the letters of Objective-C type encodings:
//
//	v void   @ object   Q NSUInteger or a 64-bit unsigned enum   q NSInteger or a 64-bit signed enum   B BOOL
//	d double   * C string   ^ other pointer   : selector   S MTLSize by value   ? block
//
// source names the public documentation of a selector that metal-cpp of macOS 14 does not have; since is the first
// macOS with it, for those that older supported systems lack (asked for with respondsToSelector: before use).
type method struct {
	class  string
	static bool
	name   string
	types  string
	since  string
	source string
}

const appleDocs = "https://developer.apple.com/documentation/"

var methods = [numSelectors]method{
	selAlloc:              {class: "NSObject", static: true, name: "alloc", types: "@"},
	selInit:               {class: "NSObject", name: "init", types: "@"},
	selRetain:             {class: "NSReferencing", name: "retain", types: "@"},
	selRelease:            {class: "NSReferencing", name: "release", types: "v"},
	selAutorelease:        {class: "NSReferencing", name: "autorelease", types: "@"},
	selRespondsToSelector: {class: "NSObject", name: "respondsToSelector:", types: "B:"},

	selStringWithUTF8String:  {class: "NSString", static: true, name: "stringWithUTF8String:", types: "@*", source: appleDocs + "foundation/nsstring/stringwithutf8string:"},
	selUTF8String:            {class: "NSString", name: "UTF8String", types: "*"},
	selArrayCount:            {class: "NSArray", name: "count", types: "Q"},
	selArrayObjectAtIndex:    {class: "NSArray", name: "objectAtIndex:", types: "@Q"},
	selDictionaryWithObjects: {class: "NSDictionary", static: true, name: "dictionaryWithObjects:forKeys:count:", types: "@^^Q"},
	selFileURLWithPath:       {class: "NSURL", static: true, name: "fileURLWithPath:", types: "@@"},
	selErrorCode:             {class: "NSError", name: "code", types: "q"},
	selErrorDomain:           {class: "NSError", name: "domain", types: "@"},
	selErrorDescription:      {class: "NSError", name: "localizedDescription", types: "@"},

	selDeviceName:              {class: "MTLDevice", name: "name", types: "@"},
	selDeviceRegistryID:        {class: "MTLDevice", name: "registryID", types: "Q"},
	selDeviceSupportsFamily:    {class: "MTLDevice", name: "supportsFamily:", types: "Bq"},
	selDeviceUnifiedMemory:     {class: "MTLDevice", name: "hasUnifiedMemory", types: "B"},
	selDeviceWorkingSet:        {class: "MTLDevice", name: "recommendedMaxWorkingSetSize", types: "Q"},
	selDeviceThreadgroupMemory: {class: "MTLDevice", name: "maxThreadgroupMemoryLength", types: "Q"},
	selDeviceMaxBufferLength:   {class: "MTLDevice", name: "maxBufferLength", types: "Q"},
	selDeviceAllocatedSize:     {class: "MTLDevice", name: "currentAllocatedSize", types: "Q"},
	selDeviceLowPower:          {class: "MTLDevice", name: "isLowPower", types: "B"},
	selDeviceHeadless:          {class: "MTLDevice", name: "isHeadless", types: "B"},
	selDeviceRemovable:         {class: "MTLDevice", name: "isRemovable", types: "B"},
	selDeviceNewLibrary:        {class: "MTLDevice", name: "newLibraryWithSource:options:error:", types: "@@@^"},
	selDeviceNewPipeline:       {class: "MTLDevice", name: "newComputePipelineStateWithDescriptor:options:reflection:error:", types: "@@Q^^"},
	selDeviceNewBuffer:         {class: "MTLDevice", name: "newBufferWithLength:options:", types: "@QQ"},
	selDeviceNewBufferNoCopy:   {class: "MTLDevice", name: "newBufferWithBytesNoCopy:length:options:deallocator:", types: "@^QQ?"},
	selDeviceNewQueue:          {class: "MTLDevice", name: "newCommandQueue", types: "@"},
	selDeviceNewResidencySet:   {class: "MTLDevice", name: "newResidencySetWithDescriptor:error:", types: "@@^", since: "15.0", source: appleDocs + "metal/mtldevice/makeresidencyset(descriptor:)"},

	selOptionsLanguageVersion: {class: "MTLCompileOptions", name: "setLanguageVersion:", types: "vQ"},
	selOptionsFastMath:        {class: "MTLCompileOptions", name: "setFastMathEnabled:", types: "vB"},
	selOptionsMathMode:        {class: "MTLCompileOptions", name: "setMathMode:", types: "vq", since: "15.0", source: appleDocs + "metal/mtlcompileoptions/mathmode"},
	selOptionsMacros:          {class: "MTLCompileOptions", name: "setPreprocessorMacros:", types: "v@"},

	selConstantAtIndex:  {class: "MTLFunctionConstantValues", name: "setConstantValue:type:atIndex:", types: "v^QQ"},
	selConstantWithName: {class: "MTLFunctionConstantValues", name: "setConstantValue:type:withName:", types: "v^Q@"},

	selLibrarySetLabel:      {class: "MTLLibrary", name: "setLabel:", types: "v@"},
	selLibraryFunctionNames: {class: "MTLLibrary", name: "functionNames", types: "@"},
	selLibraryNewFunction:   {class: "MTLLibrary", name: "newFunctionWithName:constantValues:error:", types: "@@@^"},

	selPipelineDescSetFunction:   {class: "MTLComputePipelineDescriptor", name: "setComputeFunction:", types: "v@"},
	selPipelineDescSetLabel:      {class: "MTLComputePipelineDescriptor", name: "setLabel:", types: "v@"},
	selPipelineDescSetMaxThreads: {class: "MTLComputePipelineDescriptor", name: "setMaxTotalThreadsPerThreadgroup:", types: "vQ"},
	selPipelineDescSetMultiple:   {class: "MTLComputePipelineDescriptor", name: "setThreadGroupSizeIsMultipleOfThreadExecutionWidth:", types: "vB"},
	selPipelineMaxThreads:        {class: "MTLComputePipelineState", name: "maxTotalThreadsPerThreadgroup", types: "Q"},
	selPipelineExecutionWidth:    {class: "MTLComputePipelineState", name: "threadExecutionWidth", types: "Q"},
	selPipelineStaticMemory:      {class: "MTLComputePipelineState", name: "staticThreadgroupMemoryLength", types: "Q"},

	selBufferContents:        {class: "MTLBuffer", name: "contents", types: "^"},
	selBufferGPUAddress:      {class: "MTLBuffer", name: "gpuAddress", types: "Q", since: "13.0"},
	selResourceSetLabel:      {class: "MTLResource", name: "setLabel:", types: "v@"},
	selResourceAllocatedSize: {class: "MTLResource", name: "allocatedSize", types: "Q"},

	selQueueSetLabel:           {class: "MTLCommandQueue", name: "setLabel:", types: "v@"},
	selQueueCommandBuffer:      {class: "MTLCommandQueue", name: "commandBufferWithUnretainedReferences", types: "@"},
	selQueueAddResidencySet:    {class: "MTLCommandQueue", name: "addResidencySet:", types: "v@", since: "15.0", source: appleDocs + "metal/mtlcommandqueue/addresidencyset(_:)"},
	selQueueRemoveResidencySet: {class: "MTLCommandQueue", name: "removeResidencySet:", types: "v@", since: "15.0", source: appleDocs + "metal/mtlcommandqueue/removeresidencyset(_:)"},

	selCommandSetLabel:            {class: "MTLCommandBuffer", name: "setLabel:", types: "v@"},
	selCommandEncoder:             {class: "MTLCommandBuffer", name: "computeCommandEncoderWithDispatchType:", types: "@Q"},
	selCommandCommit:              {class: "MTLCommandBuffer", name: "commit", types: "v"},
	selCommandAddCompletedHandler: {class: "MTLCommandBuffer", name: "addCompletedHandler:", types: "v?"},
	selCommandStatus:              {class: "MTLCommandBuffer", name: "status", types: "Q"},
	selCommandError:               {class: "MTLCommandBuffer", name: "error", types: "@"},
	selCommandGPUStart:            {class: "MTLCommandBuffer", name: "GPUStartTime", types: "d"},
	selCommandGPUEnd:              {class: "MTLCommandBuffer", name: "GPUEndTime", types: "d"},
	selCommandUseResidencySet:     {class: "MTLCommandBuffer", name: "useResidencySet:", types: "v@", since: "15.0", source: appleDocs + "metal/mtlcommandbuffer/useresidencyset(_:)"},

	selEncoderSetLabel:             {class: "MTLCommandEncoder", name: "setLabel:", types: "v@"},
	selEncoderEnd:                  {class: "MTLCommandEncoder", name: "endEncoding", types: "v"},
	selEncoderPushDebugGroup:       {class: "MTLCommandEncoder", name: "pushDebugGroup:", types: "v@"},
	selEncoderPopDebugGroup:        {class: "MTLCommandEncoder", name: "popDebugGroup", types: "v"},
	selEncoderSetPipeline:          {class: "MTLComputeCommandEncoder", name: "setComputePipelineState:", types: "v@"},
	selEncoderSetBuffer:            {class: "MTLComputeCommandEncoder", name: "setBuffer:offset:atIndex:", types: "v@QQ"},
	selEncoderSetBytes:             {class: "MTLComputeCommandEncoder", name: "setBytes:length:atIndex:", types: "v^QQ"},
	selEncoderSetThreadgroupMemory: {class: "MTLComputeCommandEncoder", name: "setThreadgroupMemoryLength:atIndex:", types: "vQQ"},
	selEncoderDispatchThreadgroups: {class: "MTLComputeCommandEncoder", name: "dispatchThreadgroups:threadsPerThreadgroup:", types: "vSS"},
	selEncoderDispatchThreads:      {class: "MTLComputeCommandEncoder", name: "dispatchThreads:threadsPerThreadgroup:", types: "vSS"},
	selEncoderBarrierScope:         {class: "MTLComputeCommandEncoder", name: "memoryBarrierWithScope:", types: "vQ"},
	selEncoderBarrierResources:     {class: "MTLComputeCommandEncoder", name: "memoryBarrierWithResources:count:", types: "v^Q"},

	selCaptureShared:             {class: "MTLCaptureManager", static: true, name: "sharedCaptureManager", types: "@"},
	selCaptureSupports:           {class: "MTLCaptureManager", name: "supportsDestination:", types: "Bq"},
	selCaptureIsCapturing:        {class: "MTLCaptureManager", name: "isCapturing", types: "B"},
	selCaptureStart:              {class: "MTLCaptureManager", name: "startCaptureWithDescriptor:error:", types: "B@^"},
	selCaptureStop:               {class: "MTLCaptureManager", name: "stopCapture", types: "v"},
	selCaptureDescSetObject:      {class: "MTLCaptureDescriptor", name: "setCaptureObject:", types: "v@"},
	selCaptureDescSetDestination: {class: "MTLCaptureDescriptor", name: "setDestination:", types: "vq"},
	selCaptureDescSetURL:         {class: "MTLCaptureDescriptor", name: "setOutputURL:", types: "v@"},

	selSetDescLabel:     {class: "MTLResidencySetDescriptor", name: "setLabel:", types: "v@", since: "15.0", source: appleDocs + "metal/mtlresidencysetdescriptor/label"},
	selSetDescCapacity:  {class: "MTLResidencySetDescriptor", name: "setInitialCapacity:", types: "vQ", since: "15.0", source: appleDocs + "metal/mtlresidencysetdescriptor/initialcapacity"},
	selSetAdd:           {class: "MTLResidencySet", name: "addAllocation:", types: "v@", since: "15.0", source: appleDocs + "metal/mtlresidencyset/addallocation(_:)"},
	selSetRemove:        {class: "MTLResidencySet", name: "removeAllocation:", types: "v@", since: "15.0", source: appleDocs + "metal/mtlresidencyset/removeallocation(_:)"},
	selSetRemoveAll:     {class: "MTLResidencySet", name: "removeAllAllocations", types: "v", since: "15.0", source: appleDocs + "metal/mtlresidencyset/removeallallocations()"},
	selSetCommit:        {class: "MTLResidencySet", name: "commit", types: "v", since: "15.0", source: appleDocs + "metal/mtlresidencyset/commit()"},
	selSetRequest:       {class: "MTLResidencySet", name: "requestResidency", types: "v", since: "15.0", source: appleDocs + "metal/mtlresidencyset/requestresidency()"},
	selSetEnd:           {class: "MTLResidencySet", name: "endResidency", types: "v", since: "15.0", source: appleDocs + "metal/mtlresidencyset/endresidency()"},
	selSetAllocatedSize: {class: "MTLResidencySet", name: "allocatedSize", types: "Q", since: "15.0", source: appleDocs + "metal/mtlresidencyset/allocatedsize"},
	selSetCount:         {class: "MTLResidencySet", name: "allocationCount", types: "Q", since: "15.0", source: appleDocs + "metal/mtlresidencyset/allocationcount"},
}
